"""Recorded steps, with a recorder for CPUs in place of CUDA's: the same bits as steps that are computed as ever.

It records operations and the memory they work on, and nothing else, as CUDA does: what Python would do anew at every
step (draw masks, count steps) is not done when a step is played.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from core.engine.losses import Loss, build_loss
from core.engine.steps.graphed import Compute, Graphed, gradients_of
from core.engine.steps.stack import Part, Stack
from tests.core.engine.test_steps import BODIES, FEATURES, LOSSES, classes, network, part

BODY: list[dict[str, Any]] = [
    {"type": "linear", "units": 8},
    {"type": "batch_norm"},
    {"type": "gelu"},
    {"type": "dropout", "p": 0.4},
    {"type": "linear", "units": 5},
    {"type": "swish", "learnable": True},
    {"type": "dropout", "p": 0.2},
]
SIZES = (13, 13, 7, 13, 7, 13)


class Tape(TorchDispatchMode):
    """Every operation with the memory that it reads and writes, as a CUDA graph has them."""

    def __init__(self) -> None:
        super().__init__()
        self._done: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            raise RuntimeError("a number is read from the device while it records")
        result = func(*args, **(kwargs or {}))
        self._done.append((func, args, kwargs or {}, result))
        return result

    def play(self) -> None:
        """The same operations on the same memory; no line of the code that was recorded is run."""
        with torch.no_grad():
            for func, args, kwargs, result in self._done:
                again = func(*args, **kwargs)
                for room, value in zip(tree_leaves(result), tree_leaves(again), strict=True):
                    if isinstance(room, Tensor) and room.data_ptr() != value.data_ptr():
                        room.copy_(value)


def replaying(compute: Compute) -> tuple[Callable[[], None], Tensor]:
    """Runs the step to warm up, as CUDA's recorder does, and records it."""
    for _ in range(3):
        compute()
    with Tape() as tape:
        outputs = compute()
    return tape.play, outputs


def stack_of(
    count: int, body: list[dict[str, Any]] = BODY, loss: Loss | None = None, outputs: int = 3
) -> tuple[Stack, list[Part], list[nn.Sequential]]:
    nets = [network(body, seed=1 + number, outputs=outputs) for number in range(count)]
    for net in nets:
        net.train()
    parts = [part(net, loss or classes(), seed=number) for number, net in enumerate(nets)]
    return Stack(parts), parts, nets


def rows(count: int, size: int, step: int) -> tuple[Tensor, Tensor, Tensor]:
    source = torch.Generator().manual_seed(step)
    x = torch.randn(count, size, FEATURES, generator=source, dtype=torch.float64)
    y = torch.randint(0, 3, (count, size), generator=source)
    return x, y, torch.rand(count, size, generator=source, dtype=torch.float64)


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("count", [1, 3])
def test_recorded_steps_come_to_the_same_bits(count: int, weighted: bool) -> None:
    plain, parts, nets = stack_of(count)
    other, other_parts, other_nets = stack_of(count)
    graphed = Graphed(other, replaying)
    assert graphed.holds(other_parts)
    kept: list[tuple[Tensor, Tensor]] = []
    for step, size in enumerate(SIZES, start=1):
        x, y, w = rows(count, size, step)
        # each network of a cohort counts its own steps
        steps = [step + 40 * number for number in range(count)]
        weight = w if weighted else None
        ours, theirs = (each.gradients(x, y, weight, steps) for each in (graphed, plain))
        kept.append((ours, theirs.clone()))
        for a, b in zip(other_parts, parts, strict=True):
            assert torch.equal(a.flat.gradients, b.flat.gradients)
            # an update between two steps is seen by the next
            a.flat.values.add_(a.flat.gradients, alpha=-0.1)
            b.flat.values.add_(b.flat.gradients, alpha=-0.1)
    # outputs are read at the end of a window, when other steps have been played
    assert all(torch.equal(ours, theirs) for ours, theirs in kept)
    for a, b in zip(other_nets, nets, strict=True):
        assert all(torch.equal(*pair) for pair in zip(a.buffers(), b.buffers(), strict=True))
    assert int(nets[0].get_buffer("1.num_batches_tracked")) == len(SIZES)


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_every_kernel_can_be_recorded(body: list[dict[str, Any]]) -> None:
    plain, parts, _ = stack_of(2, body)
    other, other_parts, _ = stack_of(2, body)
    graphed = Graphed(other, replaying)
    for step in (1, 2, 3):
        x, y, w = rows(2, 13, step)
        assert torch.equal(graphed.gradients(x, y, w, [step] * 2), plain.gradients(x, y, w, [step] * 2))
        assert all(torch.equal(a.flat.gradients, b.flat.gradients) for a, b in zip(other_parts, parts, strict=True))


@pytest.mark.parametrize(("spec", "task", "outputs"), LOSSES.values(), ids=LOSSES)
def test_every_loss_can_be_recorded(spec: Any, task: str, outputs: int) -> None:
    loss = build_loss(spec, task, outputs, max(2, outputs), torch.float64)
    plain, parts, _ = stack_of(2, [], loss, outputs)
    other, other_parts, _ = stack_of(2, [], loss, outputs)
    graphed = Graphed(other, replaying)
    for step in (1, 2, 3):
        x, y, w = rows(2, 13, step)
        numbers = torch.rand(2, 13, outputs, generator=torch.Generator().manual_seed(step), dtype=torch.float64)
        encoded = [
            loss.encode(each) for each in (y.clamp_max(max(2, outputs) - 1) if task == "classification" else numbers)
        ]
        target = torch.stack(encoded)
        assert torch.equal(graphed.gradients(x, target, w, [step] * 2), plain.gradients(x, target, w, [step] * 2))
        assert all(torch.equal(a.flat.gradients, b.flat.gradients) for a, b in zip(other_parts, parts, strict=True))


def test_each_size_of_a_batch_is_recorded_once() -> None:
    recorded: list[Compute] = []

    def record(compute: Compute) -> tuple[Callable[[], None], Tensor]:
        recorded.append(compute)
        return replaying(compute)

    graphed = Graphed(stack_of(1)[0], record)
    for step, size in enumerate(SIZES, start=1):
        x, y, _ = rows(1, size, step)
        graphed.gradients(x, y, None, [step])
    assert len(recorded) == len(set(SIZES))


def test_what_cannot_be_recorded_is_computed_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    def refuse(compute: Compute) -> tuple[Callable[[], None], Tensor]:
        compute()
        raise RuntimeError("operation not permitted when stream is capturing")

    plain, parts, nets = stack_of(2)
    other, other_parts, other_nets = stack_of(2)
    graphed = Graphed(other, refuse)
    with caplog.at_level(logging.WARNING):
        for step, size in enumerate(SIZES, start=1):
            x, y, _ = rows(2, size, step)
            assert torch.equal(graphed.gradients(x, y, None, [step] * 2), plain.gradients(x, y, None, [step] * 2))
            assert torch.equal(other_parts[1].flat.gradients, parts[1].flat.gradients)
    assert torch.equal(other_nets[0].get_buffer("1.running_mean"), nets[0].get_buffer("1.running_mean"))
    assert len(caplog.records) == 1
    assert "not permitted" in caplog.text


def test_a_cpu_records_nothing() -> None:
    assert isinstance(gradients_of(stack_of(1)[1]), Stack)
