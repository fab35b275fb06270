"""Runs on a GPU beside the same runs on the CPU. Skipped where there is none; what they come to there decides.

Sums are added in another order there, so numbers agree and bits do not.
"""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
from torch import Tensor

from core.engine import rows as rows_module
from core.engine.cohort import Member, train_together
from core.engine.environment import allow_tf32
from core.engine.flat import FlatParameters
from core.engine.residence import CPU
from core.engine.steps.graphed import Graphed, gradients_of
from core.engine.steps.stack import Part, Stack
from core.events import Checkpoint, Event, Failed, Finished, Started
from tests.core.engine import test_graphed as graphed
from tests.core.engine.test_steps import classes, network
from tests.core.engine.workbench import Bench, after_steps, last, never, rows

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")]

GPU = "cuda"
DENSE: list[dict[str, Any]] = [
    {"type": "linear", "units": 32},
    {"type": "batch_norm"},
    {"type": "relu"},
    {"type": "dropout", "p": 0.2},
]
IMAGES: list[dict[str, Any]] = [
    {"type": "unflatten", "shape": [1, 8, 8]},
    {"type": "conv2d", "channels": 8, "kernel_size": 3, "padding": "same"},
    {"type": "batch_norm"},
    {"type": "relu"},
    {"type": "max_pool2d", "kernel_size": 2},
    {"type": "conv2d", "channels": 8, "kernel_size": 3},
    {"type": "relu"},
    {"type": "flatten"},
]


def body(layers: list[dict[str, Any]], device: str = GPU, **training: Any) -> dict[str, Any]:
    return {
        "data": {"dataset": "digits"},
        "network": {"layers": layers},
        "optimizer": {"type": "adam", "lr": 0.01},
        "training": {"epochs": 3, "device": device, **training},
    }


def losses(events: list[Event]) -> list[float | None]:
    assert not isinstance(events[-1], Failed), events[-1]
    return [value for _, _, values in rows(events) for name, value in values.items() if name.endswith(".loss")]


@pytest.mark.parametrize("layers", [DENSE, IMAGES], ids=["direct", "autograd"])
def test_a_run_comes_to_what_it_comes_to_on_a_cpu(
    bench: Bench, layers: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        ours = losses(bench.events(body(layers)))
    assert caplog.text == ""
    assert ours == pytest.approx(losses(bench.events(body(layers, "cpu"))), rel=2e-2)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "nadam", "muon", "lbfgs"])
def test_optimizers_find_their_state_on_the_device(bench: Bench, optimizer: str) -> None:
    def run(device: str) -> list[float | None]:
        told = body([{"type": "linear", "units": 16}, {"type": "tanh"}], device, batch_size="full")
        return losses(bench.events(told | {"optimizer": {"type": optimizer}}))

    assert run(GPU) == pytest.approx(run("cpu"), rel=1e-2)


@pytest.mark.parametrize("count", [1, 3])
def test_a_graph_plays_the_step_that_it_has_recorded(count: int, caplog: pytest.LogCaptureFixture) -> None:
    def parts() -> list[Part]:
        nets = [network(graphed.BODY, seed=number).to(GPU).train() for number in range(count)]
        return [Part(net, FlatParameters(net), classes(), number, 13) for number, net in enumerate(nets)]

    plain_parts, graphed_parts = parts(), parts()
    plain, played = Stack(plain_parts), gradients_of(graphed_parts)
    assert isinstance(played, Graphed)
    kept: list[tuple[Tensor, Tensor]] = []
    for step, size in enumerate(graphed.SIZES, start=1):
        x, y, w = (each.to(GPU) for each in graphed.rows(count, size, step))
        kept.append((played.gradients(x, y, w, [step] * count), plain.gradients(x, y, w, [step] * count)))
        for a, b in zip(graphed_parts, plain_parts, strict=True):
            torch.testing.assert_close(a.flat.gradients, b.flat.gradients)
            a.flat.values.add_(b.flat.gradients, alpha=-0.1)
            b.flat.values.add_(b.flat.gradients, alpha=-0.1)
    for ours, theirs in kept:
        torch.testing.assert_close(ours, theirs)
    for a, b in zip(graphed_parts, plain_parts, strict=True):
        torch.testing.assert_close(list(a.network.buffers()), list(b.network.buffers()))
    assert caplog.text == ""


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("layers", [DENSE, IMAGES], ids=["dense", "images"])
def test_mixed_precision_learns_as_float32_does(bench: Bench, layers: list[dict[str, Any]], precision: str) -> None:
    ours = losses(bench.events(body(layers, precision=precision)))
    assert ours == pytest.approx(losses(bench.events(body(layers, "cpu"))), rel=0.15)


@pytest.mark.skipif(
    torch.cuda.is_available() and torch.cuda.get_device_capability() < (8, 0), reason="TF32 came with Ampere"
)
def test_tf32_rounds_where_it_is_allowed_and_there_alone() -> None:
    source = torch.Generator().manual_seed(1)
    a, b = (torch.randn(512, 512, generator=source) for _ in range(2))
    exact = a.double() @ b.double()

    def error() -> float:
        return float(((a.to(GPU) @ b.to(GPU)).cpu().double() - exact).norm() / exact.norm())

    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    try:
        allow_tf32(False)
        assert error() < 1e-6
        allow_tf32(True)
        assert error() > 1e-5
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


@pytest.mark.parametrize("precision", ["float32", "float16"])
@pytest.mark.parametrize("layers", [DENSE, IMAGES], ids=["dense", "images"])
def test_a_resume_goes_on_and_says_that_bits_may_differ(
    bench: Bench, layers: list[dict[str, Any]], precision: str
) -> None:
    told = body(layers, precision=precision)
    straight, run = bench.events(told), bench.run(told)
    first = bench.events(told, after_steps(50))
    second = bench.resumed(run, last(first, Checkpoint))
    assert not last(second, Started).resume_exact
    assert isinstance(second[-1], Finished)
    assert losses(second) == pytest.approx(losses(straight)[-len(losses(second)) :], rel=2e-2)


def test_a_run_that_began_on_a_gpu_goes_on_on_a_cpu(bench: Bench) -> None:
    first = bench.events(body(IMAGES), after_steps(50))
    run = bench.run(body(IMAGES, "cpu"))
    second = bench.resumed(run, last(first, Checkpoint))
    assert losses(second) == pytest.approx(losses(bench.events(body(IMAGES, "cpu")))[-len(losses(second)) :], rel=2e-2)


def test_members_of_a_cohort_come_to_what_they_come_to_alone(bench: Bench) -> None:
    bodies = [body(DENSE, seed=seed) | {"optimizer": {"type": "adam", "lr": 0.01 / seed}} for seed in (1, 2, 3)]
    told: dict[int, list[Event]] = {place: [] for place in range(3)}
    for place, event in train_together([Member(bench.run(each), never) for each in bodies]):
        told[place].append(event)
    for place, each in enumerate(bodies):
        assert losses(told[place]) == pytest.approx(losses(bench.events(each)), rel=1e-2)


def test_rows_that_do_not_fit_are_sent_window_by_window(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    resident = losses(bench.events(body(DENSE)))
    monkeypatch.setattr(rows_module, "home_of", lambda _bytes, _device: CPU)
    assert losses(bench.events(body(DENSE))) == pytest.approx(resident, rel=1e-2)
