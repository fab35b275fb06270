"""Every loss against its formula in float64 NumPy; reductions, weights, smoothing and class weights with it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import expit, log_softmax, softmax

from core.engine.losses import build_loss, class_weights
from core.spec import losses

N, C, T = 40, 4, 3


def each(loss: Any, task: str, z: np.ndarray, y: np.ndarray, classes: int = C) -> np.ndarray:
    built = build_loss(loss, task, z.shape[1], classes, torch.float64)
    return built.each(torch.from_numpy(z), built.encode(torch.from_numpy(y))).numpy()


def one_hot(y: np.ndarray, smoothing: float = 0.0, classes: int = C) -> np.ndarray:
    return np.eye(classes)[y] * (1 - smoothing) + smoothing / classes


def crammer_singer(z: np.ndarray, y: np.ndarray) -> np.ndarray:
    result = []
    for row, c in zip(z, y, strict=True):
        result.append(max(0.0, 1 + max(v for k, v in enumerate(row) if k != c) - row[c]))
    return np.array(result)


def focal(z: np.ndarray, share: np.ndarray, gamma: float) -> np.ndarray:
    return -(share * (1 - softmax(z, 1)) ** gamma * log_softmax(z, 1)).sum(1)


MANY = [
    (losses.CrossEntropy(), lambda z, y: -(one_hot(y) * log_softmax(z, 1)).sum(1)),
    (losses.CrossEntropy(label_smoothing=0.2), lambda z, y: -(one_hot(y, 0.2) * log_softmax(z, 1)).sum(1)),
    (losses.Hinge(), crammer_singer),
    (losses.MSE(), lambda z, y: ((softmax(z, 1) - one_hot(y)) ** 2).mean(1)),
    (losses.Focal(gamma=1.5), lambda z, y: focal(z, one_hot(y), 1.5)),
    (losses.Focal(gamma=0.0), lambda z, y: -(one_hot(y) * log_softmax(z, 1)).sum(1)),
]


@pytest.mark.parametrize(("loss", "formula"), MANY, ids=lambda value: getattr(value, "type", ""))
def test_losses_between_many_classes(loss: Any, formula: Any, random: np.random.Generator) -> None:
    z, y = random.normal(size=(N, C)) * 3, random.integers(C, size=N)
    np.testing.assert_allclose(each(loss, "classification", z, y), formula(z, y), rtol=1e-9)


def binary_cross_entropy(z: np.ndarray, y: np.ndarray) -> np.ndarray:
    return -(y * np.log(expit(z)) + (1 - y) * np.log(1 - expit(z)))


def pair(z: np.ndarray) -> np.ndarray:
    return np.stack([np.zeros_like(z), z], 1)


TWO = [
    (losses.BCE(), binary_cross_entropy),
    (losses.CrossEntropy(), binary_cross_entropy),
    (losses.BCE(label_smoothing=0.1), lambda z, y: binary_cross_entropy(z, y * 0.9 + 0.05)),
    (losses.Hinge(), lambda z, y: np.maximum(0, 1 - (2 * y - 1) * z)),
    (losses.MSE(), lambda z, y: (expit(z) - y) ** 2),
    (losses.Focal(), lambda z, y: focal(pair(z), one_hot(y, classes=2), 2.0)),
]


@pytest.mark.parametrize(("loss", "formula"), TWO, ids=lambda value: getattr(value, "type", ""))
def test_losses_of_one_logit(loss: Any, formula: Any, random: np.random.Generator) -> None:
    z, y = random.normal(size=N) * 3, random.integers(2, size=N)
    np.testing.assert_allclose(each(loss, "classification", z[:, None], y, 2), formula(z, y), rtol=1e-9)


NUMBERS = [
    (losses.MSE(), lambda z, y: (z - y) ** 2),
    (losses.MAE(), lambda z, y: np.abs(z - y)),
    (losses.Huber(delta=0.5), lambda z, y: np.where(abs(z - y) < 0.5, (z - y) ** 2 / 2, 0.5 * (abs(z - y) - 0.25))),
    (losses.LogCosh(), lambda z, y: np.log(np.cosh(z - y))),
    (losses.Poisson(), lambda z, y: np.exp(z) - y * z),
    (losses.Quantile(q=0.8), lambda z, y: np.maximum(0.8 * (y - z), -0.2 * (y - z))),
]


@pytest.mark.parametrize(("loss", "formula"), NUMBERS, ids=lambda value: getattr(value, "type", ""))
def test_losses_between_numbers_are_means_over_the_targets(
    loss: Any, formula: Any, random: np.random.Generator
) -> None:
    z, y = random.normal(size=(N, T)) * 2, random.normal(size=(N, T)) * 2
    np.testing.assert_allclose(each(loss, "regression", z, y), formula(z, y).mean(1), rtol=1e-9)


def test_log_cosh_of_a_large_error_does_not_overflow() -> None:
    value = each(losses.LogCosh(), "regression", np.array([[1e6]]), np.array([[0.0]]))
    assert value[0] == pytest.approx(1e6 - np.log(2))


@pytest.mark.parametrize("loss", [case[0] for case in MANY], ids=lambda loss: loss.type)
def test_reductions_and_weights(loss: Any, random: np.random.Generator) -> None:
    z, y = torch.from_numpy(random.normal(size=(N, C))), torch.from_numpy(random.integers(C, size=N))
    w = torch.from_numpy(random.random(N))
    mean, total = (
        build_loss(loss.model_copy(update={"reduction": how}), "classification", C, C, torch.float64)
        for how in ("mean", "sum")
    )
    target = mean.encode(y)
    values = mean.each(z, target)
    torch.testing.assert_close(mean(z, target, None), values.mean())
    torch.testing.assert_close(total(z, target, None), values.sum())
    torch.testing.assert_close(mean(z, target, w), (values * w).sum() / w.sum())
    torch.testing.assert_close(total(z, target, w), (values * w).sum())
    assert float(mean(z, target, torch.zeros(N, dtype=torch.float64))) == 0.0


def test_signed_weights_divide_by_their_mean_over_the_training_rows(random: np.random.Generator) -> None:
    """A batch whose own weights sum to nothing has a finite loss; over all batches it is the sum(w l)/sum(w)."""
    z, y = torch.from_numpy(random.normal(size=(N, C))), torch.from_numpy(random.integers(C, size=N))
    w = torch.from_numpy(random.random(N))
    w[1] = -w[0]
    plain = build_loss(losses.CrossEntropy(), "classification", C, C, torch.float64)
    assert plain.for_weights(w.abs()) is plain
    assert plain.for_weights(None) is plain
    loss = plain.for_weights(w)
    each = loss.each(z, y)
    torch.testing.assert_close(loss(z, y, w), (each * w).sum() / w.sum())
    torch.testing.assert_close(loss(z[:2], y[:2], w[:2]), (each * w)[:2].sum() / (2 * w.mean()))
    halves = (loss(z[:4], y[:4], w[:4]) * 4 + loss(z[4:], y[4:], w[4:]) * (N - 4)) / N
    torch.testing.assert_close(halves, (each * w).sum() / w.sum())


def test_class_weights_give_pytorchs_weighted_cross_entropy(random: np.random.Generator) -> None:
    z, y = torch.from_numpy(random.normal(size=(N, C))), torch.from_numpy(random.integers(C, size=N))
    per_class = torch.tensor([0.5, 1.0, 2.0, 4.0], dtype=torch.float64)
    loss = build_loss(losses.CrossEntropy(), "classification", C, C, torch.float64)
    reference = torch.nn.functional.cross_entropy(z, y, weight=per_class)
    torch.testing.assert_close(loss(z, y, per_class[y]), reference)


def test_class_weights_of_each_form() -> None:
    counts, names = [30.0, 10.0, 0.0], ["a", "b", "c"]
    assert class_weights(losses.CrossEntropy(), counts, names) is None
    # as scikit-learn: rows / (classes * count)
    assert class_weights(losses.CrossEntropy(class_weight="balanced"), counts, names) == [40 / 90, 40 / 30, 0.0]
    assert class_weights(losses.CrossEntropy(class_weight={"b": 3.0}), counts, names) == [1.0, 3.0, 1.0]
    assert class_weights(losses.CrossEntropy(class_weight=(1.0, 2.0, 3.0)), counts, names) == [1.0, 2.0, 3.0]
