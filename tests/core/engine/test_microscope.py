"""What the microscope shows is what happens: numbers against float64 NumPy and torch, and no bit of training moved."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from core.engine import microscope
from core.engine.activity import SATURATED, dead_fraction, saturated_fraction, silent
from core.engine.assembling import assemble
from core.engine.checkpoint import read_tensors
from core.engine.flat import FlatParameters
from core.engine.learner import Learner
from core.engine.losses import build_loss
from core.engine.optimizers import build_optimizer
from core.engine.run import Run, train
from core.engine.steps.masks import Masks
from core.engine.steps.solo import Autograd, Direct, Tools
from core.events import Checkpoint, Finished, Metrics
from core.spec.losses import MSE
from core.spec.optimizers import SGD
from core.spec.sampling import Sampling
from core.spec.training import RegularizationSpec
from tests.core.engine.test_resume import HARD, interrupted
from tests.core.engine.workbench import Bench, files, last, never, rows

DEEP: dict[str, Any] = {
    "data": {"dataset": "moons", "parameters": {"rows": 100, "noise": 0.2}, "preprocess": {"scale": "none"}},
    "network": {
        "layers": [
            {"type": "linear", "units": 6},
            {"type": "sigmoid"},
            {"type": "linear", "units": 5},
            {"type": "relu"},
        ],
        "init": {"type": "xavier"},
    },
    "optimizer": {"type": "sgd", "lr": 0.5},
    "training": {"epochs": 2, "batch_size": "full", "shuffle": False, "precision": "float64"},
    "monitor": {"layers": True, "layers_every_steps": 1},
}


def layer_rows(events: list[Any]) -> list[tuple[int, dict[str, float]]]:
    told = [
        (e.step, {k: v for k, v in e.values.items() if k.startswith("layer.")}) for e in events if type(e) is Metrics
    ]
    return [(step, values) for step, values in told if values]


def test_every_number_of_a_step_against_numpy(bench: Bench) -> None:
    run = bench.run(DEEP)
    from_start = list(train(run, never))
    (_, seen), _ = layer_rows(from_start)
    x, y, weights = first_step_of(run)
    w1, b1, w2, b2, w3, b3 = weights
    n = len(x)
    z1 = x @ w1.T + b1
    s1 = 1 / (1 + np.exp(-z1))
    z2 = s1 @ w2.T + b2
    s2 = np.maximum(z2, 0)
    z3 = s2 @ w3.T + b3
    d3 = (1 / (1 + np.exp(-z3)) - y[:, None]) / n
    d_s2 = d3 @ w3
    d2 = d_s2 * (z2 > 0)
    d_s1 = d2 @ w2
    d1 = d_s1 * s1 * (1 - s1)
    gradients = [(d1.T @ x, d1.sum(0)), (d2.T @ s1, d2.sum(0)), (d3.T @ s2, d3.sum(0))]
    for index, (dw, db), (w, b) in zip((0, 2, 4), gradients, ((w1, b1), (w2, b2), (w3, b3)), strict=True):
        length = np.sqrt((dw**2).sum() + (db**2).sum())
        weight = np.sqrt((w**2).sum() + (b**2).sum())
        assert seen[f"layer.{index}.gradient_norm"] == pytest.approx(length, rel=1e-5)
        assert seen[f"layer.{index}.weight_norm"] == pytest.approx(weight, rel=1e-5)
        assert seen[f"layer.{index}.update_ratio"] == pytest.approx(0.5 * length / weight, rel=1e-5)
    signals = [np.linalg.norm(d) for d in (d1, d_s1, d2, d_s2, d3)]
    for index in range(1, 5):
        assert seen[f"layer.{index}.gradient_scale"] == pytest.approx(signals[index - 1] / signals[index], rel=1e-5)
    for index, values in enumerate((z1, s1, z2, s2, z3)):
        assert seen[f"layer.{index}.activation_mean"] == pytest.approx(values.mean(), rel=1e-5, abs=1e-9)
        assert seen[f"layer.{index}.activation_std"] == pytest.approx(values.std(), rel=1e-5)
    assert seen["layer.1.saturated"] == pytest.approx((s1 * (1 - s1) < 0.025).mean(), abs=1e-6)
    assert seen["layer.3.dead"] == pytest.approx((s2.max(0) <= 0).mean(), abs=1e-6)
    assert "layer.0.gradient_scale" not in seen  # nothing is asked of the inputs
    assert not {"layer.1.gradient_norm", "layer.0.dead", "layer.3.saturated"} & seen.keys()


def first_step_of(run: Run) -> tuple[Any, Any, list[Any]]:
    """Inputs (N, F), target (N,) and the first values of the weights, as float64 arrays."""
    a = assemble(run.spec, run.schema, run.data_path, torch.device("cpu"), 1)
    return a.train.x.numpy(), a.train.y, [p.detach().numpy().copy() for p in a.network.parameters()]


@pytest.mark.parametrize("optimizer", [{"type": "adam"}, {"type": "lbfgs", "max_iter": 3}, {"type": "muon"}])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_looking_moves_no_bit(bench: Bench, optimizer: dict[str, Any], precision: str) -> None:
    training = {"epochs": 3, "batch_size": 16, "clip_grad_norm": 0.5, "precision": precision}
    body = HARD | {"optimizer": optimizer, "training": training}
    plain = bench.events(body)
    watched = bench.events(body | {"monitor": {"every_steps": 3, "layers": True, "layers_every_steps": 1}})
    # a checkpoint's content names its spec, so the tensors are compared and not the files
    ours, theirs = (read_tensors(files(last(events, Checkpoint))[0])[0] for events in (watched, plain))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert last(watched, Finished) == last(plain, Finished)
    for row, other in zip(without_layers(watched), without_layers(plain), strict=True):
        assert row == other


def without_layers(events: list[Any]) -> list[Any]:
    kept = [(e, s, {k: v for k, v in values.items() if not k.startswith("layer.")}) for e, s, values in rows(events)]
    return [row for row in kept if row[2]]


def test_a_resumed_run_has_the_same_rows(bench: Bench) -> None:
    body = HARD | {"monitor": {"layers": True, "layers_every_steps": 2}}
    straight = bench.events(body)
    broken, stops = interrupted(bench.run(body), np.random.Generator(np.random.PCG64(5)))
    assert stops > 3
    assert rows(broken) == rows(straight)
    assert layer_rows(broken) == layer_rows(straight)
    assert last(broken, Checkpoint).state_sha256 == last(straight, Checkpoint).state_sha256
    assert [step for step, _ in layer_rows(straight)] == [1, *range(2, 31, 2)]


def test_a_longer_run_is_looked_at_at_the_same_steps(bench: Bench) -> None:
    body = HARD | {"monitor": {"layers": True}, "training": {"epochs": 3, "batch_size": 4}}
    short = bench.events(body)
    longer = bench.run(body | {"training": {"epochs": 6, "batch_size": 4}})
    more = bench.resumed(longer, last(short, Checkpoint))
    assert rows(short) + rows(more) == rows(list(train(longer, never)))
    assert layer_rows(more)


def test_a_look_joins_the_row_of_its_step(bench: Bench) -> None:
    body = HARD | {"monitor": {"layers": True, "every_steps": 2}}
    told = [
        (step, "train.loss" in values, "layer.0.gradient_norm" in values)
        for _, step, values in rows(bench.events(body))
    ]
    assert len({step for step, _, _ in told}) == len(told)
    # steps 1 and every second one are looked at, and epochs end with every fifth
    assert told[:6] == [
        (1, False, True),
        (2, True, True),
        (4, True, True),
        (5, True, False),
        (6, True, True),
        (8, True, True),
    ]
    assert (10, True, True) in told


def test_weights_that_are_no_numbers_are_told_as_such(bench: Bench) -> None:
    body = DEEP | {"optimizer": {"type": "sgd", "lr": 1e30}, "training": {"epochs": 20, "batch_size": "full"}}
    told = [event for event in bench.events(body) if isinstance(event, Metrics) and event.non_finite]
    assert told
    assert {name for event in told for name in event.non_finite if name.startswith("layer.")}


def test_a_value_is_saturated_where_the_derivative_is_under_a_tenth_of_its_greatest() -> None:
    for kind in SATURATED:
        module = kind()
        z = torch.linspace(-6, 6, 4_001, dtype=torch.float64, requires_grad=True)
        output = module(z)
        (slope,) = torch.autograd.grad(output.sum(), z)
        expected = (slope < 0.1 * slope.max()).double().mean()
        assert float(saturated_fraction(module, output.detach())) == pytest.approx(float(expected), abs=1e-3), kind


def test_units_are_columns_channels_or_features_of_a_sequence() -> None:
    alive = torch.rand(4, 6, 5, 5) + 0.1
    alive[:, :3] = 0
    assert float(dead_fraction(silent(alive))) == 0.5
    assert float(dead_fraction(silent(alive[:, :, 0, 0]))) == 0.5
    assert float(dead_fraction(silent(alive[:, :, :, 0]))) == 0.5
    assert float(dead_fraction(silent(alive[:, :, :, 0].transpose(1, 2)))) == 0.5
    # silent in this batch for all but one sample is not dead
    alive[0, 1, 2, 2] = 1.0
    assert float(dead_fraction(silent(alive))) == pytest.approx(2 / 6)


class Block(nn.Module):
    """A residual block, as one layer of the network."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.Tanh())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.layers(x)


def test_a_block_is_one_layer_by_its_index() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), Block(), nn.Flatten(), nn.Linear(4, 1))
    loss = build_loss(MSE(), "regression", 1, 0, torch.float32)
    flat = FlatParameters(network)
    learner = Learner(network, flat, loss, RegularizationSpec())
    every = Sampling(1, spreads=False)
    scope = microscope.Microscope(learner, network, rows=every, probes=every)
    x, y = torch.randn(8, 3), torch.randn(8, 1)
    scope.step(build_optimizer(SGD(lr=0.1), flat), lambda: learner.gradients(x, y, None), 0.1, 1)
    assert scope.look is not None
    block = scope.look.layers[1]
    gradients = [parameter.grad for parameter in network[1].parameters()]
    assert block["gradient_norm"] == pytest.approx(
        float(torch.cat([g.flatten() for g in gradients if g is not None]).norm())
    )
    assert {"dead", "saturated", "activation_std", "gradient_scale"} <= block.keys()
    # the product of all S is what the whole does to the gradient
    product = np.prod([layer["gradient_scale"] for layer in scope.look.layers[1:]])
    assert product == pytest.approx((scope.look.signals[0] or 0) / (scope.look.signals[3] or 1))
    assert set(scope.look.row()) >= {f"layer.1.{stat}" for stat in microscope.STATS}
    assert not network[1]._forward_hooks
    assert learner.after_backward is None


def test_kernels_show_what_hooks_on_modules_show(bench: Bench) -> None:
    """The same step, its layers of every kind that is watched, once by kernels and once recorded by PyTorch."""
    layers = [{"type": "linear", "units": 7}, {"type": "batch_norm"}, {"type": "relu"}]
    layers += [{"type": "linear", "units": 6}, {"type": "tanh"}, {"type": "linear", "units": 5}, {"type": "sigmoid"}]
    training = {"epochs": 1, "batch_size": 16, "precision": "float64"}
    run = bench.run(DEEP | {"network": {"layers": layers}, "training": training})
    looks = []
    for by_hooks in (False, True):
        a = assemble(run.spec, run.schema, run.data_path, torch.device("cpu"), 1)
        solo = Autograd(Tools(a.learner, a.optimizer, a.watch, a.tally)) if by_hooks else a.solo
        assert isinstance(solo, Autograd if by_hooks else Direct)
        solo.take([a.train.take(None, 0, 16)], [0.1], 0)
        assert a.watch.microscope.look is not None
        looks.append(a.watch.microscope.look)
    kernels, hooks = looks
    assert kernels.loss == pytest.approx(hooks.loss, rel=1e-12)
    assert kernels.signals == pytest.approx(hooks.signals, rel=1e-9)
    assert [layer.keys() for layer in kernels.layers] == [layer.keys() for layer in hooks.layers]
    for ours, theirs in zip(kernels.layers, hooks.layers, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-12)


def test_a_look_sees_the_masks_of_the_step_itself(bench: Bench) -> None:
    """With all outputs of a layer dropped, nothing but zeros is seen behind it."""
    layers = [{"type": "linear", "units": 4}, {"type": "dropout", "p": 0.999}, {"type": "linear", "units": 3}]
    run = bench.run(DEEP | {"network": {"layers": layers}, "training": {"epochs": 1, "batch_size": "full"}})
    (_, first), *_ = layer_rows(list(train(run, never)))
    a = assemble(run.spec, run.schema, run.data_path, torch.device("cpu"), 1)
    mask = Masks(a.spec.training.seed, 1, 0.999).of(1, a.train.x.new_empty(len(a.train), 4), len(a.train))
    before = a.network[0](a.train.x).detach()
    assert first["layer.1.activation_mean"] == pytest.approx(float((before * mask).mean()), rel=1e-5, abs=1e-9)
