"""Confusion, ROC and calibration of trained classifiers against scikit-learn, event weights among them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from core.engine.analyses.context import Part, part_of
from core.engine.outputs import forward, probabilities
from core.errors import Invalid
from tests.core.engine.analyses.bodies import DIGITS, IRIS, SINE, WEIGHTED, weighted_moons
from tests.core.engine.analyses.conftest import Studio

RELATIVE = 1e-12


@pytest.fixture(scope="module")
def weighted(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> Studio:
    if "weighted" not in studio.bench.sets:
        folder: Path = tmp_path_factory.mktemp("weighted")
        studio.bench.upload("weighted", weighted_moons(folder, np.random.default_rng(3)), "csv")
    return studio


def truth_of(studio: Studio, body: dict[str, Any]) -> tuple[Part, np.ndarray, np.ndarray]:
    """The test part with its classes and probabilities."""
    context = studio.context(body)
    part = part_of(context, "test")
    return part, part.rows.y, probabilities(forward(context.model.network, part.rows.x))


@pytest.mark.parametrize("normalize", ["true", "predicted", "all"])
def test_confusion_is_scikit_learns(weighted: Studio, normalize: str) -> None:
    data = weighted.analyse(WEIGHTED, {"type": "confusion", "normalize": normalize})
    part, y, p = truth_of(weighted, WEIGHTED)
    called = p.argmax(1)
    assert data["classes"] == ["background", "signal"]
    assert data["counts"] == confusion_matrix(y, called).tolist()
    assert part.rows.weight is not None
    assert np.allclose(data["weights"], confusion_matrix(y, called, sample_weight=part.rows.weight), rtol=RELATIVE)
    how = {"predicted": "pred"}.get(normalize, normalize)
    wanted = confusion_matrix(y, called, sample_weight=part.rows.weight, normalize=how)
    assert np.allclose(data["rates"], wanted, rtol=RELATIVE)
    assert data["rows"] == data["of_rows"] == len(y)


def test_classes_beyond_the_limit_are_added_up(studio: Studio) -> None:
    whole = studio.analyse(DIGITS, {"type": "confusion"})
    data = studio.analyse(DIGITS, {"type": "confusion", "classes": 4})
    assert whole["classes"] == list(range(10))
    assert len(data["classes"]) == 4
    assert data["classes"][-1] == "7 others"
    assert sum(map(sum, data["counts"])) == sum(map(sum, whole["counts"]))
    kept = data["classes"][:-1]
    assert np.array(data["counts"])[:3, :3].tolist() == np.array(whole["counts"])[np.ix_(kept, kept)].tolist()


def test_a_regression_has_no_confusion(studio: Studio) -> None:
    with pytest.raises(Invalid, match="classification; do ask for decision_boundary") as caught:
        studio.analyse(SINE, {"type": "confusion"})
    assert caught.value.errors[0].pointer == "/type"


def test_an_empty_split_gives_way(studio: Studio) -> None:
    body = {**IRIS, "data": {"dataset": "iris", "split": {"test": 0.0, "validation": 0.2}}}
    assert studio.analyse(body, {"type": "confusion"})["split"] == "validation"
