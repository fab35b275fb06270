"""Confusion, ROC and calibration of trained classifiers against scikit-learn, event weights among them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, confusion_matrix, roc_auc_score, roc_curve

from core.engine.analyses.context import Part, part_of
from core.engine.analyses.roc import _thinned
from core.engine.analyses.roc import roc_curve as ours
from core.engine.evaluate import Evaluator
from core.engine.outputs import forward, probabilities
from core.errors import Invalid
from core.spec.metrics import CALIBRATION_BINS
from tests.core.engine.analyses.bodies import DIGITS, IRIS, MOONS, SINE, WEIGHTED, weighted_moons
from tests.core.engine.analyses.conftest import Studio

RELATIVE = 1e-12
SIGNED = {**WEIGHTED, "data": {**WEIGHTED["data"], "dataset": "signed"}}


@pytest.fixture(scope="module")
def weighted(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> Studio:
    if "weighted" not in studio.bench.sets:
        folder: Path = tmp_path_factory.mktemp("weighted")
        studio.bench.upload("weighted", weighted_moons(folder, np.random.default_rng(3)), "csv")
    return studio


def metric_of(studio: Studio, body: dict[str, Any], name: str, part: Part) -> float:
    """The run's own figure of the part."""
    context = studio.context(body)
    evaluator = Evaluator(context.spec, context.loss(), context.model.preparation, (name,), 2048)
    return evaluator(context.model.network, part.rows, "x")[f"x.{name}"]


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


def test_the_roc_curve_is_scikit_learns(weighted: Studio) -> None:
    data = weighted.analyse(WEIGHTED, {"type": "roc", "points": 2000})
    part, y, p = truth_of(weighted, WEIGHTED)
    (curve,) = data["curves"]
    fpr, tpr, thresholds = roc_curve(y, p[:, 1], sample_weight=part.rows.weight, drop_intermediate=False)
    assert part.rows.weight is not None
    whole = ours(y == 1, p[:, 1], part.rows.weight)
    assert np.allclose(np.c_[whole.fpr, whole.tpr], np.c_[fpr, tpr], rtol=RELATIVE)
    assert whole.thresholds.tolist() == thresholds.tolist()
    # what is sent has the corners: a staircase is its corners
    corners = _thinned(whole, 2000)
    assert np.allclose(curve["fpr"], fpr[corners], atol=1e-6)
    assert curve["thresholds"][0] is None
    assert np.trapezoid(curve["tpr"], curve["fpr"]) == pytest.approx(data["auc"], abs=1e-5)
    assert data["auc"] == pytest.approx(roc_auc_score(y, p[:, 1], sample_weight=part.rows.weight), rel=RELATIVE)
    assert data["auc"] == metric_of(weighted, WEIGHTED, "auc", part)
    point = next(each for each in curve["working_points"] if each["tpr"] == 0.5)
    assert point["fpr"] == pytest.approx(np.interp(0.5, tpr, fpr), abs=1e-9)


def test_each_class_against_the_rest(studio: Studio) -> None:
    data = studio.analyse(DIGITS, {"type": "roc", "axes": "inverse"})
    _, y, p = truth_of(studio, DIGITS)
    assert [curve["class"] for curve in data["curves"]] == list(range(10))
    for curve in data["curves"]:
        assert curve["auc"] == pytest.approx(roc_auc_score(y == curve["class"], p[:, curve["class"]]), rel=RELATIVE)
    assert data["auc"] == pytest.approx(roc_auc_score(y, p, multi_class="ovr"), rel=RELATIVE)
    only = studio.analyse(DIGITS, {"type": "roc", "positive": 3, "axes": "rejection"})
    assert [curve["class"] for curve in only["curves"]] == [3]
    with pytest.raises(Invalid, match="expected a class"):
        studio.analyse(DIGITS, {"type": "roc", "positive": "3"})


def test_a_thinned_curve_keeps_its_shape() -> None:
    random = np.random.default_rng(0)
    y = random.integers(0, 2, 20_000).astype(bool)
    score = random.normal(size=len(y)) + y
    curve = ours(y, score, np.ones(len(y)))
    shown = _thinned(curve, 300)
    assert 100 < len(shown) <= 300
    assert (curve.fpr[shown[0]], curve.tpr[shown[-1]]) == (0.0, 1.0)
    between = np.interp(curve.fpr, curve.fpr[shown], curve.tpr[shown])
    assert np.abs(between - curve.tpr).max() < 0.02
    assert (curve.fpr[shown] < 0.01).sum() > 20


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_reliability_is_scikit_learns(studio: Studio, strategy: str) -> None:
    data = studio.analyse(MOONS, {"type": "calibration", "bins": 5, "strategy": strategy})
    _, y, p = truth_of(studio, MOONS)
    right, probability = calibration_curve(y, p[:, 1], n_bins=5, strategy=strategy)
    filled = [each for each in data["bins"] if each["rows"]]
    assert np.allclose([each["right"] for each in filled], right, rtol=RELATIVE)
    assert np.allclose([each["probability"] for each in filled], probability, rtol=RELATIVE)
    shares = np.array([each["rows"] for each in filled]) / len(y)
    assert data["ece"] == pytest.approx(float(shares @ np.abs(right - probability)), rel=1e-9)
    assert data["brier"] == pytest.approx(brier_score_loss(y, p[:, 1]), rel=1e-9)


def test_weights_move_the_reliability(weighted: Studio) -> None:
    data = weighted.analyse(WEIGHTED, {"type": "calibration", "bins": 4})
    part, y, p = truth_of(weighted, WEIGHTED)
    w = part.rows.weight
    assert w is not None
    for each in data["bins"]:
        here = (p[:, 1] > each["from"]) & (p[:, 1] <= each["to"])
        assert each["right"] == pytest.approx(float((w * (y == 1))[here].sum() / w[here].sum()), rel=1e-9)
    assert sum(each["weight"] for each in data["bins"]) == pytest.approx(w.sum(), rel=1e-12)


def test_several_classes_are_judged_by_the_one_called(studio: Studio) -> None:
    data = studio.analyse(DIGITS, {"type": "calibration"})
    _, y, p = truth_of(studio, DIGITS)
    assert data["class"] is None
    assert data["mean_right"] == pytest.approx(float((p.argmax(1) == y).mean()))
    assert data["mean_probability"] == pytest.approx(float(p.max(1).mean()))


@pytest.mark.parametrize("body", [WEIGHTED, SIGNED, DIGITS])
def test_figures_are_those_of_the_run(weighted: Studio, body: dict[str, Any]) -> None:
    if "signed" not in weighted.bench.sets:
        weighted.bench.upload("signed", weighted_moons(weighted.bench.folder, np.random.default_rng(5), 0.2), "csv")
    part = part_of(weighted.context(body), "test")
    ece = weighted.analyse(body, {"type": "calibration", "bins": CALIBRATION_BINS})["ece"]
    assert ece == pytest.approx(metric_of(weighted, body, "calibration_error", part), rel=1e-9)
    assert weighted.analyse(body, {"type": "roc"})["auc"] == metric_of(weighted, body, "auc", part)
    accuracy = weighted.analyse(body, {"type": "confusion"})["accuracy"]
    assert accuracy == pytest.approx(metric_of(weighted, body, "accuracy", part), rel=1e-12)
