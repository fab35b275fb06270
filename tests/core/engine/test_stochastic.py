"""Noise, the probabilistic code and activity regularisers against NumPy; the objective of a VAE by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from core.engine.flat import FlatParameters
from core.engine.layer_types.regularizers import ActivityRegularizer, sparsity
from core.engine.layer_types.stochastic import Latent, Noise, divergence
from core.engine.learner import Learner
from core.engine.losses import build_loss
from core.engine.network import build_network
from core.events import Metrics
from core.spec import losses
from core.spec.layers import LAYERS
from core.spec.network import LayeredNetwork
from core.spec.training import RegularizationSpec
from tests.core.engine.test_network import check_gradients
from tests.core.engine.workbench import Bench, last

X = torch.linspace(-2, 3, 60_000).reshape(20_000, 3)


def test_noise_is_what_it_says_in_training_and_nothing_after() -> None:
    torch.manual_seed(0)
    added = Noise("additive", 0.5, 0.0)(X) - X
    assert float(added.mean()) == pytest.approx(0, abs=0.01)
    assert float(added.std()) == pytest.approx(0.5, rel=0.02)
    share = (Noise("multiplicative", 0.2, 0.0)(X) / X - 1)[X.abs() > 0.1]
    assert float(share.std()) == pytest.approx(0.2, rel=0.02)
    masked = Noise("masking", 0.0, 0.3)(X)
    assert float((masked == 0).float().mean()) == pytest.approx(0.3, abs=0.01)
    assert torch.equal(masked[masked != 0], X[masked != 0])
    salted = Noise("salt_and_pepper", 0.0, 0.4)(X)
    changed = salted[salted != X]
    assert len(changed) / X.numel() == pytest.approx(0.4, abs=0.01)
    assert set(changed.tolist()) == {-2.0, 3.0}
    assert float((changed == 3).float().mean()) == pytest.approx(0.5, abs=0.02)
    for kind in ("additive", "multiplicative", "masking", "salt_and_pepper"):
        assert torch.equal(Noise(kind, 0.5, 0.5).eval()(X), X)  # type: ignore[arg-type]


def test_the_divergence_is_that_of_the_integral(random: np.random.Generator) -> None:
    mean, log_variance = random.normal(size=(4, 3)), random.normal(size=(4, 3))
    ours = divergence(torch.from_numpy(mean), torch.from_numpy(log_variance)).numpy()
    z = np.linspace(-30, 30, 40_001)[:, None, None]
    log_q = -np.square(z - mean) / (2 * np.exp(log_variance)) - 0.5 * (log_variance + np.log(2 * np.pi))
    log_p = -np.square(z) / 2 - 0.5 * np.log(2 * np.pi)
    integral = (np.exp(log_q) * (log_q - log_p)).sum(0) * (z[1, 0, 0] - z[0, 0, 0])
    np.testing.assert_allclose(ours, integral.sum(1), rtol=1e-6)


def test_a_code_is_drawn_in_training_and_is_its_mean_after() -> None:
    torch.manual_seed(0)
    latent = Latent(2, 2, beta=1.0).double()
    x = torch.randn(1, 2, dtype=torch.float64).expand(50_000, 2)
    z = latent(x)
    torch.testing.assert_close(z.mean(0), latent.mean(x[0]), atol=0.02, rtol=0)
    torch.testing.assert_close(z.var(0), latent.log_variance(x[0]).exp(), atol=0, rtol=0.03)
    assert torch.equal(latent.eval()(x), latent.mean(x))
    assert list(latent.state_dict()) == ["mean.weight", "mean.bias", "log_variance.weight", "log_variance.bias"]


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_objective_of_a_vae_by_hand(random: np.random.Generator, reduction: str, weighted: bool) -> None:
    """Encoder, draw, decoder, mean squared error and divergence of every row, in NumPy."""
    layers = [{"type": "linear", "units": 4}, {"type": "tanh"}, {"type": "latent", "units": 2, "beta": 0.3}]
    layered = LayeredNetwork.model_validate({"layers": layers, "head": [{"type": "linear", "units": 5}]})
    network = build_network(layered, (5,), seed=1, precision="float64")
    loss = build_loss(losses.MSE(reduction=reduction), "reconstruction", 5, 0, torch.float64)  # type: ignore[arg-type]
    learner = Learner(network, FlatParameters(network), loss, RegularizationSpec())
    x = random.normal(size=(7, 5))
    w = random.uniform(0, 2, size=7) if weighted else None
    torch.manual_seed(5)
    given = None if w is None else torch.from_numpy(w)
    objective, _ = learner.gradients(torch.from_numpy(x), torch.from_numpy(x), given)

    def affine(values: Any, module: Any) -> Any:
        return values @ module.weight.detach().numpy().T + module.bias.detach().numpy()

    hidden = np.tanh(affine(x, network[0]))
    mean, log_variance = affine(hidden, network[2].mean), affine(hidden, network[2].log_variance)
    torch.manual_seed(5)
    z = mean + np.exp(log_variance / 2) * torch.randn(7, 2, dtype=torch.float64).numpy()
    error = np.square(affine(z, network[3]) - x).mean(1)
    kl = 0.5 * (mean**2 + np.exp(log_variance) - log_variance - 1).sum(1)
    weights = np.ones(7) if w is None else w
    over = weights.sum() if reduction == "mean" else 1.0
    assert float(objective) == pytest.approx(float((weights * (error + 0.3 * kl)).sum() / over))
    assert float(learner.extra_loss or 0) == pytest.approx(float((weights * 0.3 * kl).sum() / over))


def test_gradients_through_the_draw_and_the_divergence(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = torch.randn(6, 2, dtype=torch.float64)
    monkeypatch.setattr(torch, "randn_like", lambda _: draw)
    layers = [LAYERS["latent"].model_validate({"type": "latent", "units": 2, "beta": 0.7})]
    check_gradients(layers, losses.MSE(), "regression", 2, torch.rand(6, 2, dtype=torch.float64))


def test_terms_of_activities_are_those_of_numpy(random: np.random.Generator) -> None:
    a = random.uniform(0.1, 0.9, size=(6, 4))
    module = ActivityRegularizer(l1=0.2, l2=0.3, kl=0.5, target=0.05)
    assert torch.equal(module(torch.from_numpy(a)), torch.from_numpy(a))
    rho = a.mean(0)
    kl = (0.05 * np.log(0.05 / rho) + 0.95 * np.log(0.95 / (1 - rho))).sum()
    expected = 0.2 * np.abs(a).sum(1) + 0.3 * np.square(a).sum(1) + 0.5 * kl
    assert module.extra_loss is not None
    np.testing.assert_allclose(module.extra_loss.numpy(), expected)
    assert float(sparsity(torch.tensor([0.05, 0.05]), 0.05)) == pytest.approx(0, abs=1e-6)
    assert torch.isfinite(sparsity(torch.tensor([0.0, 1.0, 2.0]), 0.05))


def test_gradients_of_every_term() -> None:
    term = {"type": "activity_regularizer", "l1": 0.1, "l2": 0.2, "kl": 0.3}
    layers = [LAYERS["linear"](units=3), LAYERS["sigmoid"](), LAYERS["activity_regularizer"].model_validate(term)]
    check_gradients(layers, losses.MSE(), "regression", 2, torch.rand(6, 2, dtype=torch.float64))


def test_what_layers_add_is_told_apart_from_the_loss(bench: Bench) -> None:
    body = {
        "data": {"dataset": "iris"},
        "network": {"layers": [{"type": "activity_regularizer", "l2": 0.5}]},
        "training": {"epochs": 1, "batch_size": "full"},
    }
    values = last(bench.events(body), Metrics).values
    # standardised training rows of 4 features: the sum of squares is 4 in the mean
    assert values["train.extra_loss"] == pytest.approx(0.5 * 4, rel=1e-4)
    without = last(bench.events(body | {"network": {"layers": [{"type": "dropout", "p": 0.0}]}}), Metrics).values
    assert values["train.loss"] == without["train.loss"]
    assert "train.extra_loss" not in without
