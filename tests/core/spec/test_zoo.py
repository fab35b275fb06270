"""Every spec of the zoo plans, and trains to the figure that it names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from core.data.builtin import BUILTIN, builtin_schema, make_builtin
from core.engine.run import Run, train
from core.errors import NotFound
from core.events import Finished, Warned
from core.spec.data import DataSpec
from core.spec.dataset import DatasetSchema
from core.spec.limits import Limits
from core.spec.plan import Plan, check_job
from core.spec.zoo import get_spec, list_specs

ENTRIES = list_specs()
# what a run warns of by design; all others are sound and warn of nothing while they train
WARNED = {"circles_linear": {"no_learning"}, "digits_deep_sigmoid": {"vanishing_gradients", "no_learning"}}
NAMES = [entry["name"] for entry in ENTRIES]


def _find(data: DataSpec) -> DatasetSchema | None:
    return builtin_schema(data.dataset, data.parameters) if data.dataset in BUILTIN else None


def _plan(body: dict[str, Any]) -> Plan:
    return check_job(body, _find, Limits())


@pytest.mark.parametrize("name", NAMES)
def test_an_entry_is_whole_and_plans(name: str) -> None:
    entry = get_spec(name)
    assert set(entry) == {"name", "title", "teaches", "expect", "picture", "spec"}
    planned = _plan(entry["spec"])
    assert _plan(planned.spec.model_dump(mode="json")).spec == planned.spec
    reported = {f"test.{metric}" for metric in planned.spec.metrics or ()}
    assert set(entry["expect"]) <= reported


def test_the_zoo_warns_of_what_it_shows() -> None:
    warned = {warning.code for warning in _plan(get_spec("digits_deep_sigmoid")["spec"]).warnings}
    assert "vanishing_gradients" in warned


def test_an_unknown_name_is_not_found() -> None:
    with pytest.raises(NotFound) as caught:
        get_spec("moons_hiden")
    assert caught.value.hint == "write moons_hidden"


@pytest.mark.parametrize("name", [name for name in NAMES if name != "higgs"])  # higgs trains in the story test
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
