"""Every analysis of every kind of job answers, or says why not."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from api.pictures import PICTURES, render
from core.data.prepare import prepare
from core.engine.analyses import COMPUTE
from core.engine.analyses.context import part_of
from core.engine.trained import load_trained
from core.errors import Invalid
from core.spec.analyses import ANALYSES
from tests.core.engine.analyses import bodies
from tests.core.engine.analyses.bodies import Body
from tests.core.engine.analyses.conftest import Studio

JOBS: dict[str, Body] = {
    "moons": bodies.MOONS,
    "iris": bodies.IRIS,
    "images": bodies.IMAGES,
    "sine": bodies.SINE,
    "diabetes": bodies.DIABETES,
    "images_reconstruction": bodies.AUTOENCODER,
    "table_reconstruction": bodies.FLAT_AUTOENCODER,
    "recurrent": bodies.RECURRENT,
    "conv1d": bodies.CONV_1D,
    "attention": bodies.ATTENTION,
    "sequences_reconstruction": bodies.SEQUENCES,
    "conv2d": bodies.CONV_2D,
    "variational_reconstruction": bodies.VARIATIONAL,
    "kernels": bodies.KERNELS,
}
_OF_CLASSES = ("confusion", "roc", "calibration")


def is_refused(job: str, kind: str) -> bool:
    reconstructs = "reconstruction" in job
    if kind in _OF_CLASSES:
        return reconstructs or job in ("sine", "diabetes")
    return kind == "reconstructions" and not reconstructs


def test_the_three_tables_have_the_same_types() -> None:
    assert set(ANALYSES) == set(COMPUTE) <= set(PICTURES)


@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("kind", ANALYSES)
def test_it_answers_or_says_why_not(studio: Studio, job: str, kind: str) -> None:
    request = {"type": kind} | ({"points": 11} if kind in ("loss_landscape", "decision_boundary") else {})
    if is_refused(job, kind):
        with pytest.raises(Invalid, match="; do ") as caught:
            studio.analyse(JOBS[job], request)
        assert caught.value.errors
        return
    data = studio.analyse(JOBS[job], request)
    assert data["type"] == kind
    # what comes back from a database draws the same picture to the last byte
    if job == "moons" or (job, kind) == ("images_reconstruction", "reconstructions"):
        assert render("png", data).startswith(b"\x89PNG")
        assert render("svg", data) == render("svg", json.loads(json.dumps(data)))


def test_a_model_of_a_fold_is_asked_about_the_rows_of_its_fold(studio: Studio) -> None:
    body = {**bodies.MOONS, "data": {**bodies.MOONS["data"], "split": {"folds": 3}}, "training": {"epochs": 3}}
    context = studio.context(body)
    assert context.schema is not None
    assert context.data_path is not None
    seen = set()
    for path in context.trajectory:
        here = replace(context, model=load_trained(path))
        fold = here.model.meta["fold"]
        wanted = prepare(context.spec, context.schema, context.data_path, fold).validation
        assert part_of(here, "validation").numbers.tolist() == wanted.tolist()
        seen.add(fold)
    assert seen == {0, 1, 2}
    kept = [path for path in context.trajectory if load_trained(path).meta["fold"] == context.model.meta["fold"]]
    data = studio.analyse(body, {"type": "loss_landscape", "directions": "trajectory", "points": 5})
    assert len(data["path"]) == len(kept) < len(context.trajectory)


def test_forecasts_are_sequences_of_a_table(studio: Studio) -> None:
    body = {
        "data": {
            "dataset": "seasonal",
            "parameters": {"rows": 400},
            "window": {"length": 12, "horizon": 3},
        },
        "network": {"layers": [{"type": "flatten"}, {"type": "linear", "units": 4}, {"type": "tanh"}]},
        "training": {"epochs": 2},
    }
    assert [each["feature"] for each in studio.analyse(body, {"type": "features"})["features"]] == ["value"]
    assert len(studio.analyse(body, {"type": "features", "by": "time", "blocks": 4})["features"]) == 4
    assert len(studio.analyse(body, {"type": "latent"})["points"]["value"]) > 20
    assert studio.analyse(body, {"type": "graph"})["detail"] == "neurons"
