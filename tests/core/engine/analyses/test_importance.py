"""Permutation importance against scikit-learn's, and against data whose answer is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.inspection import permutation_importance

from core.engine.analyses.context import part_of
from core.engine.analyses.importance import blocks_of, shuffled
from core.engine.outputs import forward, probabilities
from core.errors import Invalid
from core.spec.analyses import Features
from tests.core.engine.analyses.bodies import DIABETES, FLAT_AUTOENCODER, IMAGES, IRIS, WEIGHTED, weighted_moons
from tests.core.engine.analyses.conftest import Studio
from tests.core.engine.test_trained import PEOPLE, people

ONE_MATTERS: dict[str, Any] = {
    "data": {"dataset": "one", "target": "y", "weight": "w"},
    "network": {"family": "feed_forward", "hidden": [16]},
    "optimizer": {"lr": 0.02},
    "training": {"epochs": 25},
}


class Network(ClassifierMixin, BaseEstimator):
    """A trained network as scikit-learn calls its models."""

    def __init__(self, network: Any = None) -> None:
        self.network = network
        self.classes_ = np.arange(2)

    def fit(self, x: Any, y: Any) -> Network:
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.predict_proba(x).argmax(1)

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        return probabilities(forward(self.network, torch.from_numpy(x.astype(np.float32))))


@pytest.fixture(scope="module")
def sets(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> Studio:
    folder: Path = tmp_path_factory.mktemp("sets")
    random = np.random.default_rng(3)
    if "weighted" not in studio.bench.sets:
        studio.bench.upload("weighted", weighted_moons(folder, random), "csv")
    if "people" not in studio.bench.sets:
        people(folder / "people.csv", random)
        studio.bench.upload("people", folder / "people.csv", "csv")
    values = random.normal(size=(400, 3))
    lines = [f"{a},{b},{c},{random.uniform(0.5, 2)},{2 * b + 0.05 * random.normal()}" for a, b, c in values.tolist()]
    (folder / "one.csv").write_text("\n".join(["a,b,c,w,y", *lines]))
    studio.bench.upload("one", folder / "one.csv", "csv")
    return studio


@pytest.mark.parametrize(
    ("metric", "scoring"), [("auc", "roc_auc"), ("accuracy", "accuracy"), ("log_loss", "neg_log_loss")]
)
def test_it_is_scikit_learns(sets: Studio, metric: str, scoring: str) -> None:
    repeats = 40
    data = sets.analyse(WEIGHTED, {"type": "features", "metric": metric, "repeats": repeats})
    part = part_of(sets.context(WEIGHTED), "test")
    model = Network(sets.context(WEIGHTED).model.network).fit(None, None)
    reference = permutation_importance(
        model,
        part.rows.x.numpy(),
        part.rows.y,
        scoring=scoring,
        n_repeats=repeats,
        random_state=0,
        sample_weight=part.rows.weight,
    )
    for index, name in enumerate(("a", "b")):
        ours = next(each for each in data["features"] if each["feature"] == name)
        error = np.hypot(ours["deviation"], reference.importances_std[index]) / np.sqrt(repeats)
        assert abs(ours["importance"] - reference.importances_mean[index]) < 4 * error
        assert ours["importance"] > 0
        assert ours["deviation"] == pytest.approx(reference.importances_std[index], rel=0.5)


def test_the_one_feature_that_matters_is_found(sets: Studio) -> None:
    data = sets.analyse(ONE_MATTERS, {"type": "features"})
    assert data["metric"] == "r2"
    assert data["baseline"] > 0.95
    assert data["features"][0]["feature"] == "b"
    # shuffling b makes the residual's variance twice the target's: r2 falls by about 2
    assert data["features"][0]["importance"] == pytest.approx(2, abs=0.4)
    assert max(abs(each["importance"]) for each in data["features"][1:]) < 0.05
    assert sets.analyse(ONE_MATTERS, {"type": "features"}) == data
    assert sets.analyse(ONE_MATTERS, {"type": "features", "seed": 1}) != data


def test_categories_of_one_column_are_shuffled_together(sets: Studio) -> None:
    data = sets.analyse(PEOPLE, {"type": "features", "repeats": 2})
    assert {each["feature"] for each in data["features"]} == {"age", "colour", "member", "visits", "older"}
    context = sets.context(PEOPLE)
    _, blocks, _ = blocks_of(Features(), context)
    colour = next(block for block in blocks if block.name == "colour")
    x = part_of(context, "train").rows.x
    changed = shuffled(x, colour, 0, (0, 0))
    where = colour.where[0]
    assert torch.equal(changed[:, where].sum(0), x[:, where].sum(0)), "the same rows in another order"
    assert torch.equal(changed[:, where].sum(1).sort()[0], x[:, where].sum(1).sort()[0]), "no row has two colours"
    assert not torch.equal(changed, x)
    rest = [at for at in range(x.shape[1]) if not where.start <= at < where.stop]
    assert torch.equal(changed[:, rest], x[:, rest])


def test_images_fall_into_patches_or_channels(studio: Studio) -> None:
    data = studio.analyse(IMAGES, {"type": "features", "repeats": 2, "patch": 3})
    assert (data["by"], data["grid"], len(data["features"])) == ("patch", [3, 3], 9)
    context = studio.context(IMAGES)
    _, blocks, _ = blocks_of(Features(patch=3), context)
    covered = np.zeros((1, 8, 8), dtype=int)
    for block in blocks:
        covered[block.where] += 1
    assert (covered == 1).all()
    assert [each["feature"] for each in studio.analyse(IMAGES, {"type": "features", "by": "channel"})["features"]] == [
        "channel 0"
    ]
    assert len(studio.analyse(IMAGES, {"type": "features", "by": "feature", "rows": 50})["features"]) == 64


def test_any_task_has_a_metric_and_a_wrong_one_is_told(studio: Studio) -> None:
    assert studio.analyse(FLAT_AUTOENCODER, {"type": "features"})["metric"] == "mse"
    assert studio.analyse(IRIS, {"type": "features"})["metric"] == "accuracy"
    with pytest.raises(Invalid, match="for the task regression") as caught:
        studio.analyse(DIABETES, {"type": "features", "metric": "auc"})
    assert caught.value.errors[0].pointer == "/metric"
    with pytest.raises(Invalid, match="expected feature; do choose it or auto"):
        studio.analyse(IRIS, {"type": "features", "by": "patch"})
