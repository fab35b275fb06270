"""Every update rule against PyTorch's own optimizer in float64, and against NumPy where PyTorch has none."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from core.engine.flat import FlatParameters
from core.engine.muon import orthogonalised
from core.engine.optimizers import Optimizer, build_optimizer
from core.spec import optimizers as spec

Closure = Callable[[], tuple[Tensor, Tensor]]


def problem(dtype: torch.dtype = torch.float64) -> tuple[nn.Sequential, FlatParameters, Closure]:
    """A small regression whose gradients change at every step."""
    torch.manual_seed(3)
    network = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2)).to(dtype)
    x, y = torch.randn(20, 4, dtype=dtype), torch.randn(20, 2, dtype=dtype)
    flat = FlatParameters(network)

    def evaluate() -> tuple[Tensor, Tensor]:
        flat.gradients.zero_()
        outputs = network(x)
        loss = (outputs - y).square().mean()
        loss.backward()
        return loss.detach(), outputs.detach()

    return network, flat, evaluate


def lr_of(base: float, k: int) -> float:
    """A rate that changes, as schedules make it."""
    return base * (1 - 0.01 * k)


def ours(optimizer: Any, steps: int = 30) -> Tensor:
    _, flat, evaluate = problem()
    built = build_optimizer(optimizer, flat)
    for k in range(1, steps + 1):
        built.step(evaluate, lr_of(optimizer.lr, k), k)
    return flat.values.clone()


def torchs(make: Callable[[list[nn.Parameter]], torch.optim.Optimizer], base: float, steps: int = 30) -> Tensor:
    network, flat, evaluate = problem()
    parameters = list(network.parameters())
    optimizer = make(parameters)
    for k in range(1, steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = lr_of(base, k)
        optimizer.step(lambda: float(evaluate()[0]))
    return flat.values.clone()


CASES = [
    (spec.SGD(), torch.optim.SGD, {}),
    (spec.SGD(weight_decay=0.1), torch.optim.SGD, {"weight_decay": 0.1}),
    (spec.SGD(momentum=0.9, dampening=0.3), torch.optim.SGD, {"momentum": 0.9, "dampening": 0.3}),
    (spec.SGD(momentum=0.9, nesterov=True), torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
    (spec.RMSprop(), torch.optim.RMSprop, {}),
    (
        spec.RMSprop(momentum=0.8, centered=True, weight_decay=0.01, alpha=0.9),
        torch.optim.RMSprop,
        {"momentum": 0.8, "centered": True, "weight_decay": 0.01, "alpha": 0.9},
    ),
    (spec.Adam(), torch.optim.Adam, {}),
    (spec.Adam(amsgrad=True, weight_decay=0.1), torch.optim.Adam, {"amsgrad": True, "weight_decay": 0.1}),
    (spec.AdamW(weight_decay=0.1), torch.optim.AdamW, {"weight_decay": 0.1}),
    (spec.AdamW(betas=(0.8, 0.9), amsgrad=True), torch.optim.AdamW, {"betas": (0.8, 0.9), "amsgrad": True}),
    (spec.NAdam(weight_decay=0.01), torch.optim.NAdam, {"weight_decay": 0.01}),
    (spec.RAdam(weight_decay=0.01), torch.optim.RAdam, {"weight_decay": 0.01}),
    (
        spec.Adagrad(lr_decay=0.1, initial_accumulator=0.5, weight_decay=0.01),
        torch.optim.Adagrad,
        {"lr_decay": 0.1, "initial_accumulator_value": 0.5, "weight_decay": 0.01},
    ),
    (spec.Adadelta(weight_decay=0.01), torch.optim.Adadelta, {"weight_decay": 0.01}),
    (spec.Adamax(weight_decay=0.01), torch.optim.Adamax, {"weight_decay": 0.01}),
    (spec.LBFGS(max_iter=5), torch.optim.LBFGS, {"max_iter": 5, "history_size": 10, "line_search_fn": "strong_wolfe"}),
    (spec.LBFGS(lr=0.1, line_search="none"), torch.optim.LBFGS, {"max_iter": 20, "history_size": 10}),
]

TEXTBOOK = spec.SGD(momentum=0.9, nesterov=True, form="textbook")  # its numbers are checked in tests/lecture


@pytest.mark.parametrize(("optimizer", "kind", "options"), CASES, ids=lambda value: getattr(value, "type", None))
def test_it_moves_as_pytorchs_own(optimizer: Any, kind: Any, options: dict[str, Any]) -> None:
    # L-BFGS has another order of summation here, which its long runs amplify; PyTorch's NAdam rounds mu to float32
    steps = 2 if optimizer.type == "lbfgs" else 30
    reference = torchs(lambda parameters: kind(parameters, lr=optimizer.lr, **options), optimizer.lr, steps)
    tolerance = 1e-7 if optimizer.type in ("nadam", "lbfgs") else 1e-10
    torch.testing.assert_close(ours(optimizer, steps), reference, rtol=tolerance, atol=1e-12)


def test_the_cases_hold_every_optimizer_of_the_spec() -> None:
    named = {model.model_fields["type"].default for model in get_args(get_args(spec.Optimizer)[0])}
    assert {case[0].type for case in CASES} | {"muon"} == named


def test_lbfgs_of_one_iteration_moves() -> None:
    """PyTorch's own stands still: its line search has no evaluation left."""
    _, flat, evaluate = problem()
    optimizer = build_optimizer(spec.LBFGS(max_iter=1), flat)
    losses = []
    for k in range(1, 6):
        losses.append(float(evaluate()[0]))
        optimizer.step(evaluate, 1.0, k)
    assert all(later < earlier for earlier, later in pairwise(losses)), losses


def test_lbfgs_stands_still_where_a_schedule_ends_at_zero() -> None:
    """PyTorch's own line search divides by the rate."""
    _, flat, evaluate = problem()
    optimizer = build_optimizer(spec.LBFGS(), flat)
    optimizer.step(evaluate, 0.5, 1)
    before = flat.values.clone()
    outputs = optimizer.step(evaluate, 0.0, 2)
    assert torch.equal(flat.values, before)
    assert torch.equal(outputs, evaluate()[1])
    optimizer.step(evaluate, 0.5, 3)
    assert not torch.equal(flat.values, before)


def test_rmsprop_with_eps_inside_the_root() -> None:
    optimizer = spec.RMSprop(lr=0.05, alpha=0.9, eps=1e-2, eps_inside_root=True)
    _, flat, evaluate = problem()
    built = build_optimizer(optimizer, flat)
    w, mean = flat.values.numpy().copy(), np.zeros(len(flat.values))
    for k in range(1, 11):
        evaluate()
        g = flat.gradients.numpy().copy()
        built.step(evaluate, optimizer.lr, k)
        mean = 0.9 * mean + 0.1 * g**2
        w -= 0.05 * g / np.sqrt(mean + 1e-2)
        np.testing.assert_allclose(flat.values.numpy(), w, rtol=1e-12)


def newton_schulz(matrix: np.ndarray, steps: int) -> np.ndarray:
    x = matrix / np.linalg.norm(matrix)
    transposed = x.shape[0] > x.shape[1]
    x = x.T if transposed else x
    for _ in range(steps):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x.T if transposed else x


def test_muon_is_its_papers_algorithm_for_matrices_and_adamw_for_the_rest() -> None:
    optimizer = spec.Muon(lr=0.02, weight_decay=0.1, adamw_lr=0.003)
    _, flat, evaluate = problem()
    built = build_optimizer(optimizer, flat)
    split, shapes = flat.num_matrix_values, flat.matrices()
    w = flat.values.numpy().copy()
    v, m, s = np.zeros(split), np.zeros(len(w) - split), np.zeros(len(w) - split)
    for k in range(1, 8):
        evaluate()
        g = flat.gradients.numpy().copy()
        built.step(evaluate, lr_of(0.02, k), k)
        lr = lr_of(0.02, k)
        v = 0.95 * v + 0.05 * g[:split]
        ahead = 0.05 * g[:split] + 0.95 * v
        w[:split] *= 1 - lr * 0.1
        for start, shape in shapes:
            end = start + shape.numel()
            update = newton_schulz(ahead[start:end].reshape(shape), 5)
            w[start:end] -= lr * math.sqrt(max(1, shape[0] / shape[1])) * update.reshape(-1)
        m, s = 0.9 * m + 0.1 * g[split:], 0.999 * s + 0.001 * g[split:] ** 2
        w[split:] -= lr_of(0.003, k) / (1 - 0.9**k) * m / (np.sqrt(s / (1 - 0.999**k)) + 1e-8)
        np.testing.assert_allclose(flat.values.numpy(), w, rtol=1e-9)


def test_muons_matrices_move_as_pytorchs_muon_within_its_bfloat16() -> None:
    optimizer = spec.Muon(lr=0.02, weight_decay=0.1)
    network, _, evaluate = problem(torch.float32)
    matrices = [parameter for parameter in network.parameters() if parameter.ndim == 2]
    reference = torch.optim.Muon(matrices, lr=0.02, weight_decay=0.1, momentum=0.95, nesterov=True)
    _, flat, same = problem(torch.float32)
    built = build_optimizer(optimizer, flat)
    evaluate()
    reference.step()
    built.step(same, 0.02, 1)
    moved = torch.cat([matrix.detach().reshape(-1) for matrix in matrices])
    torch.testing.assert_close(flat.values[: flat.num_matrix_values], moved, rtol=0, atol=1e-3)


def test_an_orthogonalised_matrix_has_singular_values_near_one() -> None:
    torch.manual_seed(0)
    for shape in ((8, 30), (30, 8)):
        singular = torch.linalg.svdvals(orthogonalised(torch.randn(shape), 5))
        assert float(singular.min()) > 0.3
        assert float(singular.max()) < 1.3


def state_after(optimizer: Any, steps: int) -> tuple[Optimizer, FlatParameters, Closure]:
    _, flat, evaluate = problem(torch.float32)
    built = build_optimizer(optimizer, flat)
    for k in range(1, steps + 1):
        built.step(evaluate, optimizer.lr, k)
    return built, flat, evaluate


@pytest.mark.parametrize(
    "optimizer", [case[0] for case in CASES] + [spec.Muon(), TEXTBOOK], ids=lambda optimizer: optimizer.type
)
def test_a_state_put_back_goes_on_bit_for_bit(optimizer: Any) -> None:
    straight, flat, evaluate = state_after(optimizer, 7)
    _, other_flat, other_evaluate = problem(torch.float32)
    other = build_optimizer(optimizer, other_flat)
    other.load({name: tensor.clone() for name, tensor in straight.tensors().items()}, straight.numbers())
    other_flat.values.copy_(flat.values)
    for k in range(8, 12):
        straight.step(evaluate, optimizer.lr, k)
        other.step(other_evaluate, optimizer.lr, k)
    assert torch.equal(flat.values, other_flat.values)
