"""Every spec of the zoo plans, has its picture, and trains to the figure that it names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from core.data.builtin import BUILTIN, builtin_schema, make_builtin
from core.engine.run import Run, train
from core.errors import NotFound
from core.events import Finished, Warned
from core.spec.data import DataSpec
from core.spec.dataset import DatasetSchema
from core.spec.limits import Limits
from core.spec.plan import Plan, check_job
from core.spec.zoo import get_spec, list_specs, picture_path
from scripts.make_pictures import stamp_of
from scripts.pages import digest

ENTRIES = list_specs()
NAMES = [entry["name"] for entry in ENTRIES]
# what a run warns of by design; all others are sound and warn of nothing while they train
WARNED = {
    "circles_linear": {"no_learning"},
    "digits_deep_sigmoid": {"vanishing_gradients", "no_learning"},
    "digits_exploding": {"exploding_gradients"},
    "moons_overfitting": {"overfitting"},
}
SLOW = {
    *("breast_cancer_baselines", "digits_inception", "digits_residual", "waves_gru", "waves_transformer"),
    *("higgs", "higgs_high_level", "jets_cnn", "jets_autoencoder"),
}
# least figures on real data, from publications and from runs of others on the same rows
FLOORS = {"jets_cnn": 0.945, "jets_autoencoder": 0.88, "higgs": 0.745, "higgs_high_level": 0.76}


def _find(data: DataSpec) -> DatasetSchema | None:
    return builtin_schema(data.dataset, data.parameters) if data.dataset in BUILTIN else None


def _plan(body: dict[str, Any]) -> Plan:
    return check_job(body, _find, Limits())


def test_the_zoo_is_in_one_order() -> None:
    assert len(NAMES) >= 30
    assert NAMES[0] == "perceptron_blobs"


@pytest.mark.parametrize("name", NAMES)
def test_an_entry_is_whole_and_plans(name: str) -> None:
    entry = get_spec(name)
    assert set(entry) == {"name", "title", "teaches", "expect", "picture", "spec"}
    assert entry["spec"]["name"] == name
    assert entry["expect"]
    planned = _plan(entry["spec"])
    assert _plan(planned.spec.model_dump(mode="json")).spec == planned.spec
    reported = {f"test.{metric}" for metric in planned.spec.metrics or ()}
    assert set(entry["expect"]) <= reported


@pytest.mark.parametrize("name", NAMES)
def test_an_entry_has_the_picture_of_its_very_spec(name: str) -> None:
    entry, path = get_spec(name), picture_path(name)
    assert path.stat().st_size < 100_000
    assert stamp_of(path) == digest(entry["spec"], entry["picture"]), f"python -m scripts.make_pictures {name}"
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert min(image.size) >= 300


def test_every_picture_belongs_to_an_entry() -> None:
    assert {path.stem for path in picture_path("iris").parent.glob("*.png")} == set(NAMES)


def test_the_zoo_warns_of_what_it_shows() -> None:
    warned = {warning.code for warning in _plan(get_spec("digits_deep_sigmoid")["spec"]).warnings}
    assert "vanishing_gradients" in warned


def test_an_unknown_name_is_not_found() -> None:
    with pytest.raises(NotFound) as caught:
        get_spec("moons_hiden")
    assert caught.value.hint == "write moons_hidden"


@pytest.mark.parametrize("name", FLOORS)
def test_real_data_are_held_to_what_others_reach(name: str) -> None:
    assert get_spec(name)["expect"]["test.auc"]["at_least"] >= FLOORS[name]


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in NAMES])
def test_an_entry_reaches_its_figure(name: str, tmp_path: Path) -> None:
    entry = get_spec(name)
    planned = _plan(entry["spec"])
    data = make_builtin(planned.spec.data.dataset, planned.spec.data.parameters, tmp_path)
    workdir = tmp_path / "work"
    workdir.mkdir()
    run = Run(spec=planned.spec, schema=data.schema, data_path=data.data_path, workdir=workdir)
    *events, last = train(run, lambda: None)
    assert {event.code for event in events if isinstance(event, Warned)} == WARNED.get(name, set())
    assert isinstance(last, Finished), last
    for metric, bounds in entry["expect"].items():
        assert last.metrics[metric] >= bounds.get("at_least", float("-inf")), last.metrics
        assert last.metrics[metric] <= bounds.get("at_most", float("inf")), last.metrics
