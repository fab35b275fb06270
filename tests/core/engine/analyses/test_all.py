"""Every analysis of every kind of job answers, or says why not."""

from __future__ import annotations

import json

import pytest

from api.pictures import PICTURES, render
from core.engine.analyses import COMPUTE
from core.errors import Invalid
from core.spec.analyses import ANALYSES
from tests.core.engine.analyses.bodies import AUTOENCODER, DIABETES, FLAT_AUTOENCODER, IMAGES, IRIS, MOONS, SINE, Body
from tests.core.engine.analyses.conftest import Studio

JOBS: dict[str, Body] = {
    "moons": MOONS,
    "iris": IRIS,
    "images": IMAGES,
    "sine": SINE,
    "diabetes": DIABETES,
    "images_reconstruction": AUTOENCODER,
    "table_reconstruction": FLAT_AUTOENCODER,
}
REFUSED = {
    *((name, kind) for name in ("sine", "diabetes") for kind in ("confusion", "roc", "calibration", "reconstructions")),
    *((name, kind) for name in JOBS if "reconstruction" in name for kind in ("confusion", "roc", "calibration")),
    *((name, "reconstructions") for name in ("moons", "iris", "images")),
    # images have no two features
    ("images", "decision_boundary"),
    ("images_reconstruction", "decision_boundary"),
}


def test_the_three_tables_have_the_same_types() -> None:
    assert set(ANALYSES) == set(COMPUTE) == set(PICTURES)


@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("kind", ANALYSES)
def test_it_answers_or_says_why_not(studio: Studio, job: str, kind: str) -> None:
    request = {"type": kind} | ({"points": 11} if kind in ("loss_landscape", "decision_boundary") else {})
    if (job, kind) in REFUSED:
        with pytest.raises(Invalid, match="; do ") as caught:
            studio.analyse(JOBS[job], request)
        assert caught.value.errors
        return
    data = studio.analyse(JOBS[job], request)
    assert data["type"] == kind
    # what comes back from a database draws the same picture to the last byte
    for form in ("svg", "png"):
        assert render(form, data) == render(form, json.loads(json.dumps(data)))
