"""Every analysis of every kind of job answers, or says why not."""

from __future__ import annotations

import json

import pytest

from api.pictures import PICTURES, render
from core.engine.analyses import COMPUTE
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
_FLAT = ("moons", "iris", "sine", "diabetes", "table_reconstruction", "kernels")


def is_refused(job: str, kind: str) -> bool:
    reconstructs = "reconstruction" in job
    if kind in _OF_CLASSES:
        return reconstructs or job in ("sine", "diabetes")
    # images and sequences have no two features
    return (kind == "reconstructions" and not reconstructs) or (kind == "decision_boundary" and job not in _FLAT)


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
    if job in ("iris", "images_reconstruction"):
        assert render("svg", data) == render("svg", json.loads(json.dumps(data)))
