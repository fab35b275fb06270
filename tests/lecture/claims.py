"""What the lecture's pages say: of each block, and of each change that they propose."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

Bounds = tuple[float, float]


@dataclass(frozen=True)
class Claim:
    """What a page says about a block: the warnings, all of them, figures within bounds, and how the run ends."""

    warnings: frozenset[str] = frozenset()
    metrics: dict[str, Bounds] = field(default_factory=dict)
    baselines: dict[str, Bounds] = field(default_factory=dict)
    fails: str | None = None


def claim(*warnings: str, baselines: dict[str, Bounds] | None = None, fails: str | None = None, **of: Bounds) -> Claim:
    """`test_accuracy=(0.9, 1)` is `test.accuracy` between the two; baselines are judged by the first of them."""
    metrics = {name.replace("_", ".", 1): bounds for name, bounds in of.items()}
    return Claim(frozenset(warnings), metrics, baselines or {}, fails)


CLAIMS = {
    "linear-models-1": claim(
        "no_learning",
        test_accuracy=(0.4, 0.65),
        baselines={"linear": (0.4, 0.65), "tree": (0.95, 1), "random_forest": (0.95, 1), "boosting": (0.95, 1)},
    ),
    "linear-models-2": claim("linear_stack", "no_learning", test_accuracy=(0.4, 0.65)),
    "linear-models-3": claim(test_accuracy=(0.99, 1)),
    "linear-models-4": claim(test_accuracy=(0.99, 1)),
    "linear-models-5": claim("no_validation_rows", "no_test_rows"),
    "smallest-network-1": claim(test_accuracy=(0.97, 1)),
    "smallest-network-2": claim(test_rmse=(0.11, 0.15)),
    "smallest-network-3": claim(test_rmse=(0.09, 0.125)),
    "radial-basis-1": claim(test_accuracy=(0.88, 1)),
    "gradient-descent-3": claim(test_accuracy=(0.8, 0.95)),
    "gradient-descent-4": claim("sum_reduction", test_accuracy=(0.8, 0.95)),
    "chain-rule-1": claim("no_learning"),
    "loss-landscape-1": claim(test_accuracy=(0.93, 1)),
    "loss-landscape-2": claim(test_accuracy=(0.93, 1)),
    "learning-rate-1": claim(test_accuracy=(0.9, 1)),
    "learning-rate-2": claim(test_accuracy=(0.9, 1)),
    "learning-rate-3": claim(test_accuracy=(0.9, 1)),
    "vanishing-gradients-1": claim("vanishing_gradients", "no_learning", test_loss=(0.68, 0.71)),
    "vanishing-gradients-2": claim(test_accuracy=(0.85, 1)),
    "exploding-gradients-1": claim("exploding_gradients"),
    "exploding-gradients-2": claim("exploding_gradients", "lr_too_high", fails="diverged"),
    "exploding-gradients-3": claim("exploding_gradients", test_accuracy=(0.75, 1)),
    "activations-2": claim("saturated"),
    "activations-3": claim("dead_units", "no_learning", test_accuracy=(0.5, 0.5)),
    "initialisation-2": claim("symmetric_init", "dead_units", "no_learning", test_accuracy=(0.05, 0.15)),
    "initialisation-3": claim(test_accuracy=(0.94, 1)),
    "batch-norm-1": claim(test_accuracy=(0.93, 1)),
    "batch-norm-2": claim(test_accuracy=(0.93, 1)),
    "convolutions-1": claim(test_accuracy=(0.85, 1)),
    "convolutions-2": claim(test_accuracy=(0.96, 1)),
    "overfitting-1": claim("overfitting", test_accuracy=(0.7, 0.9)),
    "overfitting-2": claim("overfitting", test_accuracy=(0.7, 0.9)),
    "overfitting-3": claim("overfitting", test_accuracy=(0.7, 0.9)),
    "overfitting-4": claim("overfitting", test_accuracy=(0.7, 0.9)),
    "overfitting-5": claim(test_accuracy=(0.8, 1)),
    "dropout-1": claim("overfitting"),
    "dropout-2": claim("overfitting"),
    "k-fold-1": claim(validation_accuracy=(0.95, 1)),
    "recurrent-1": claim(test_accuracy=(0.4, 0.9)),
    "recurrent-2": claim(test_accuracy=(0.95, 1)),
    "recurrent-3": claim("still_learning", test_accuracy=(0.6, 1)),
    "transformer-1": claim(test_accuracy=(0.85, 1)),
    "transformer-2": claim(test_accuracy=(0.85, 1)),
    "autoencoders-1": claim(test_mse=(0, 0.025)),
    "autoencoders-2": claim(test_mse=(0.02, 0.045)),
    "autoencoders-3": claim(test_mse=(0, 0.03)),
    "autoencoders-4": claim(test_mse=(0, 0.025)),
    "forecasting-1": claim(
        test_rmse=(0.36, 0.45), baselines={"naive": (1.4, 1.7), "linear": (0.34, 0.4)}, test_scaled_mse=(0.03, 0.07)
    ),
    "anomalies-1": claim(test_auc=(0.88, 0.92)),
    "anomalies-2": claim("still_learning", test_auc=(0.98, 1)),
    "weighted-events-1": claim(test_auc=(0.735, 0.755), baselines={"linear": (0.65, 0.67), "boosting": (0.75, 0.77)}),
    "weighted-events-3": claim(test_auc=(0.735, 0.755)),
    "differences-1": claim("sum_reduction", test_accuracy=(0.85, 1)),
}


@dataclass(frozen=True)
class Try:
    """A change that a page proposes, as a merge patch of a block, and what it says will come of it."""

    block: str
    patch: dict[str, Any]
    claim: Claim

    def __str__(self) -> str:
        return f"{self.block}-{json.dumps(self.patch)}"


TRIES = [
    Try(
        "linear-models-3",
        {"data": {"dataset": "xor", "derive": {"r2": None, "product": "x1*x2"}}},
        claim(test_accuracy=(0.9, 1)),
    ),
    Try("linear-models-3", {"data": {"dataset": "xor", "derive": None}}, claim(test_accuracy=(0.4, 0.7))),
    Try(
        "linear-models-2",
        {"network": {"layers": [{"type": "linear", "units": 16}, {"type": "relu"}] * 2}},
        claim(test_accuracy=(0.95, 1)),
    ),
    *(
        Try("smallest-network-2", {"training": {"seed": seed}}, claim(test_rmse=(0.2, 0.45)))
        for seed in (0, 1, 3, 4, 5)
    ),
    *(Try("smallest-network-3", {"training": {"seed": seed}}, claim(test_rmse=(0.1, 0.14))) for seed in range(6)),
    Try("gradient-descent-3", {"training": {"batch_size": "full"}}, claim(test_loss=(0.5, 0.62))),
    Try("gradient-descent-3", {"training": {"batch_size": "full", "epochs": 500}}, claim(test_loss=(0.25, 0.4))),
    Try("gradient-descent-3", {"optimizer": {"lr": 10.0}}, claim("lr_too_high", test_accuracy=(0.9, 1))),
    Try("vanishing-gradients-1", {"network": {"hidden": [16, 16]}}, claim(test_accuracy=(0.8, 1))),
    Try("vanishing-gradients-1", {"network": {"hidden": [16, 16, 16]}}, claim()),
    Try("vanishing-gradients-1", {"network": {"batch_norm": True}}, claim(test_accuracy=(0.85, 1))),
    Try("exploding-gradients-2", {"network": {"init": {"gain": 1.0}}}, claim(test_accuracy=(0.8, 1))),
    Try(
        "activations-3",
        {
            "network": {
                "layers": [
                    {"type": "linear", "units": 32, "bias_init": {"type": "constant", "value": -4.0}},
                    {"type": "leaky_relu", "negative_slope": 0.2},
                ]
            },
            "optimizer": {"lr": 0.1},
        },
        claim("still_learning", test_accuracy=(0.75, 1)),
    ),
    Try("activations-2", {"network": {"init": {"std": 0.3}}}, claim(test_accuracy=(0.8, 1))),
    Try("learning-rate-1", {"optimizer": {"lr": 10.0}}, claim("lr_too_high", "dead_units", fails="diverged")),
    Try("overfitting-1", {"data": {"parameters": {"rows": 2000}}}, claim(test_accuracy=(0.8, 0.9))),
    Try("dropout-2", {"network": {"dropout": 0.8}}, claim("overfitting", "dropout_too_high", test_accuracy=(0.8, 0.9))),
    Try("transformer-1", {"network": {"position": "none"}}, claim(test_accuracy=(0.9, 1))),
    Try("anomalies-1", {"data": {"train_on": None}}, claim("anomalies_in_training", test_auc=(0.82, 0.865))),
    Try("anomalies-1", {"network": {"latent": 2}}, claim(test_auc=(0.75, 0.81))),
    Try("anomalies-1", {"network": {"latent": 64}}, claim(test_auc=(0.88, 0.92))),
    Try("anomalies-1", {"network": {"family": "variational_autoencoder"}}, claim(test_auc=(0.88, 0.92))),
    Try("weighted-events-3", {"data": {"features": None}}, claim(test_auc=(0.71, 0.74))),
    Try("recurrent-1", {"data": {"parameters": {"length": 128}}}, claim("still_learning", test_accuracy=(0.3, 0.75))),
]
