"""The compiled path: the same training as the direct path, the same bytes however often it stops, chosen by sizes."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

from core.engine.compiler import find_compiler
from core.engine.flat import FlatParameters
from core.engine.learner import Learner
from core.engine.losses import build_loss
from core.engine.network import Network, build_network
from core.engine.optimizers import FirstOrder, build_optimizer
from core.engine.rows import Batch, plan_batches
from core.engine.run import Run, train
from core.engine.steps import choice
from core.engine.steps.choice import choose_path, group_size
from core.engine.steps.masks import Masks
from core.engine.steps.stack import Part, Stack, is_stackable
from core.engine.steps.traced import GroupOfSteps
from core.errors import Invalid, TrainingFailed
from core.events import Checkpoint, Event, Failed, Log, Metrics, Started, Stopped
from core.spec import losses as loss_spec
from core.spec.compiling import LAYER_TYPES, OPTIMIZERS, repays
from core.spec.network import LayeredNetwork
from core.spec.optimizers import SGD, AdamW, RMSprop
from core.spec.training import RegularizationSpec
from core.states import StopReason
from tests.core.engine.workbench import Bench, after_steps, files, last, never, rows

needs_compiler = pytest.mark.skipif(
    find_compiler() is None, reason="no g++ that works with OpenMP and Python's headers"
)

# 70 training rows: two batches of 32, which make a group, and one of 6; 3 steps an epoch, looks at steps 1, 4, 16
BODY: dict[str, Any] = {
    "data": {"dataset": "moons", "parameters": {"rows": 100, "noise": 0.3}},
    "network": {
        "layers": [
            {"type": "linear", "units": 8},
            {"type": "layer_norm"},
            {"type": "tanh"},
            {"type": "dropout", "p": 0.3},
        ]
    },
    "optimizer": {"type": "adam", "lr": 0.05, "amsgrad": True},
    "schedule": {"type": "cosine"},
    "regularization": {"l1": 0.001, "l2": 0.001},
    "training": {"epochs": 6, "batch_size": 32, "clip_grad_norm": 0.5},
}


def body(**training: Any) -> dict[str, Any]:
    return {**BODY, "training": {**BODY["training"], **training}}


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One cold compile for the whole module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path_factory.mktemp("compiled")))
        yield


def stopped_after(run: Run, steps: int) -> list[Event]:
    """The events of a run that is asked to stop once so many steps were done; what it is asked before counts not."""
    events: list[Event] = []
    asked = after_steps(steps)
    for event in train(run, lambda: asked() if any(map(is_compiled, events)) else None):
        events.append(event)  # noqa: PERF402 - what the run asks looks at them as they come
    return events


def is_compiled(event: Event) -> bool:
    return isinstance(event, Log) and "compiled in" in event.message


def without_compiler(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(choice, "find_compiler", lambda: None)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Bench(tmp_path_factory.mktemp("bench"), {}).run(body(compile="always"))


@pytest.fixture(scope="module")
def whole(run: Run) -> list[Event]:
    return list(train(run, never))


@needs_compiler
class TestRun:
    def test_it_trains_as_the_direct_path_does(self, bench: Bench, whole: list[Event]) -> None:
        direct = bench.events(body(compile="never"))
        assert any(map(is_compiled, whole))
        for ours, theirs in zip(rows(whole), rows(direct), strict=True):
            assert ours[:2] == theirs[:2]
            assert ours[2] == pytest.approx(theirs[2], rel=1e-4)
        assert last(whole, Metrics).values != last(direct, Metrics).values, "no step was compiled"

    def test_stopped_and_resumed_it_comes_to_the_same_bytes(
        self, bench: Bench, run: Run, whole: list[Event], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stopped = last(stopped_after(run, 7), Checkpoint)
        end = last(whole, Checkpoint)
        assert 0 < stopped.step < end.step
        assert not stopped.end_of_epoch
        events = bench.resumed(run, stopped)
        assert last(events, Started).resume_exact
        again = last(events, Checkpoint)
        assert (again.content_sha256, again.state_sha256) == (end.content_sha256, end.state_sha256)

        without_compiler(monkeypatch)
        started = last(bench.resumed(run, stopped), Started)
        assert not started.resume_exact
        assert started.resume_note is not None
        assert "this worker cannot compile" in started.resume_note


@needs_compiler
class TestStop:
    """While it compiles; here that never ends by itself."""

    @pytest.fixture
    def compiling(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
        inductor = importlib.import_module("core.engine.steps.inductor")
        begun, end = threading.Event(), threading.Event()

        def compiled(*_: object) -> None:
            begun.set()
            end.wait(60)

        monkeypatch.setattr(inductor, "compiled", compiled)
        yield begun
        end.set()

    @pytest.mark.parametrize("reason", [StopReason.PAUSE, StopReason.CANCEL, StopReason.SHUTDOWN])
    def test_is_heard_and_nothing_is_lost(
        self,
        bench: Bench,
        run: Run,
        whole: list[Event],
        compiling: threading.Event,
        monkeypatch: pytest.MonkeyPatch,
        reason: StopReason,
    ) -> None:
        events = list(train(run, lambda: reason if compiling.is_set() else None))
        assert events[-1] == Stopped(reason.value, 0, 0)
        assert not any(map(is_compiled, events))
        stopped = last(events, Checkpoint)
        assert stopped.step == 0
        if reason is StopReason.PAUSE:
            monkeypatch.undo()
            again, end = last(bench.resumed(run, stopped), Checkpoint), last(whole, Checkpoint)
            assert (again.content_sha256, again.state_sha256) == (end.content_sha256, end.state_sha256)

    def test_of_a_resumed_run_leaves_it_where_it_was(
        self, bench: Bench, run: Run, whole: list[Event], compiling: threading.Event
    ) -> None:
        at = next(event for event in whole if isinstance(event, Checkpoint))
        events = list(train(replace(run, resume=files(at)), lambda: StopReason.PAUSE if compiling.is_set() else None))
        assert last(events, Stopped).step == at.step

    def test_comes_with_the_time_limit_too(self, bench: Bench, compiling: threading.Event) -> None:
        failed = last(bench.events(body(compile="always", time_limit_s=0.5)), Failed)
        assert compiling.is_set()
        assert failed.code == "time_limit"


def test_a_worker_without_a_compiler_says_so(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    without_compiler(monkeypatch)
    failed = last(bench.events(body(compile="always")), Failed)
    assert (failed.code, failed.pointer) == ("cannot_compile", "/training/compile")
    assert "g++" in failed.hint


def test_a_run_that_would_be_compiled_elsewhere_says_why_it_is_not(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "repays", lambda *_: True)
    without_compiler(monkeypatch)
    told = [event.message for event in bench.events(body(compile="auto")) if isinstance(event, Log)]
    assert told == ["steps are not compiled, which would repay itself here: this worker has no C++ compiler that works"]
    assert not [event for event in bench.events(body(compile="never")) if isinstance(event, Log)]


@pytest.mark.parametrize(
    ("patch", "received"),
    [
        ({"network": {"layers": [{"type": "noise", "std": 0.1}]}}, "the layer noise"),
        ({"optimizer": {"type": "lbfgs"}}, "the optimizer lbfgs"),
        ({"optimizer": {"type": "sgd", "momentum": 0.9, "dampening": 0.1}}, "sgd with dampening"),
    ],
    ids=["layer", "optimizer", "dampening"],
)
def test_what_cannot_be_compiled_is_refused(bench: Bench, patch: dict[str, Any], received: str) -> None:
    with pytest.raises(Invalid) as refused:
        bench.plan({**body(compile="always"), **patch})
    (error,) = refused.value.errors
    assert (error.pointer, error.code) == ("/training/compile", "cannot_compile")
    assert received in error.detail
    bench.plan({**body(), **patch})


class TestChoice:
    def chosen(self, bench: Bench, epochs: int = 6, begun_on: Any = None, **more: Any) -> str:
        run = bench.run({**body(epochs=epochs, compile=more.pop("compile", "auto")), **more})
        network = build_network(run.spec.layered(), (2,), seed=0, precision="float32")
        batching = plan_batches(64 * 32, 32, 2, None, needs_two=False)
        return choose_path(run.spec, network, (2,), batching, torch.device("cpu"), begun_on=begun_on)

    @pytest.fixture(autouse=True)
    def _compiler(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(choice, "find_compiler", lambda: "g++")

    def test_it_is_by_how_long_the_training_is(self, bench: Bench) -> None:
        assert self.chosen(bench) == "direct"
        assert self.chosen(bench, epochs=100_000) == "compiled"
        assert self.chosen(bench, epochs=100_000, compile="never") == "direct"
        assert self.chosen(bench, compile="always") == "compiled"
        assert self.chosen(bench, epochs=100_000, optimizer={"type": "nadam"}) == "direct"
        assert self.chosen(bench, epochs=100_000, network={"layers": [{"type": "noise", "std": 0.1}]}) == "autograd"

    def test_it_is_kept(self, bench: Bench) -> None:
        assert self.chosen(bench, begun_on="compiled") == "compiled"
        assert self.chosen(bench, epochs=100_000, begun_on="direct") == "direct"
        assert self.chosen(bench, epochs=100_000, begun_on="autograd") == "autograd"

    def test_it_is_by_the_machine(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        without_compiler(monkeypatch)
        assert self.chosen(bench, epochs=100_000) == "direct"
        assert self.chosen(bench, begun_on="compiled") == "direct"
        with pytest.raises(TrainingFailed):
            self.chosen(bench, compile="always")

    def test_arithmetic_is_not_compiled_away(self) -> None:
        assert repays(layers=3, operations=10**6, steps=10**7)
        assert not repays(layers=3, operations=10**6, steps=10**5)
        assert not repays(layers=3, operations=10**9, steps=10**7)

    @pytest.mark.parametrize(
        ("rows_", "size"), [(32, 1), (70, 2), (32 * 44 + 3, 7), (32 * 39 + 3, 6), (32 * 64, 8), (32 * 1000, 8)]
    )
    def test_groups_leave_few_steps_over(self, rows_: int, size: int) -> None:
        assert group_size(plan_batches(rows_, 32, 2, None, needs_two=False)) == size


def test_every_layer_that_may_be_compiled_has_a_kernel() -> None:
    fields: dict[str, dict[str, Any]] = {"linear": {"units": 4}, "group_norm": {"groups": 2}}
    for name in sorted(LAYER_TYPES):
        layers = [{"type": name, **fields.get(name, {})}, {"type": "linear", "units": 2}]
        network = build_network(LayeredNetwork.model_validate({"layers": layers}), (4,), seed=0, precision="float32")
        assert is_stackable(network, (4,)), name


ROWS, STEPS = 16, 3
RULES = [
    *(each() for each in OPTIMIZERS),
    SGD(momentum=0.9, nesterov=True, weight_decay=0.1),
    SGD(momentum=0.9, nesterov=True, form="textbook"),
    RMSprop(centered=True, momentum=0.5, weight_decay=0.1),
    AdamW(amsgrad=True, weight_decay=0.1),
]


class Trained:
    """A small network in double precision with all that is around it, and batches for it."""

    def __init__(self, rule: Any) -> None:
        layers = [
            {"type": "linear", "units": 6},
            {"type": "batch_norm"},
            {"type": "gelu"},
            {"type": "dropout", "p": 0.5},
            {"type": "linear", "units": 3},
        ]
        spec = LayeredNetwork.model_validate({"layers": layers})
        self.network: Network = build_network(spec, (4,), seed=0, precision="float64")
        loss = build_loss(loss_spec.CrossEntropy(), "classification", 3, 3, torch.float64)
        self.flat = FlatParameters(self.network)
        self.part = Part(self.network, self.flat, loss, 0, ROWS)
        self.learner = Learner(self.network, self.flat, loss, RegularizationSpec(l1=0.01, l2=0.01), clip_norm=0.1)
        built = build_optimizer(rule, self.flat)
        assert isinstance(built, FirstOrder)
        self.optimizer, self.rule = built, rule
        source = torch.Generator().manual_seed(1)
        x = torch.randn((STEPS, ROWS, 4), generator=source, dtype=torch.float64)
        target = torch.randint(0, 3, (STEPS, ROWS), generator=source)
        weight = torch.rand((STEPS, ROWS), generator=source, dtype=torch.float64)
        self.batches: list[Batch] = list(zip(x, target, weight, strict=True))

    def state(self) -> list[Tensor]:
        moments = [each for layer in self.network if isinstance(layer, nn.BatchNorm1d) for each in layer.buffers()]
        return [
            self.flat.values,
            *(self.optimizer.tensors()[name] for name in sorted(self.optimizer.tensors())),
            *moments,
        ]


@pytest.mark.parametrize("number", range(len(RULES)))
def test_the_traced_steps_are_those_of_the_direct_path(number: int) -> None:
    lrs = [0.1, 0.05, 0.02]
    one, group = Trained(RULES[number]), Trained(RULES[number])
    stack = Stack([one.part])
    outputs, norms = [], []
    for place, (x, target, weight) in enumerate(one.batches):
        assert weight is not None
        one.optimizer.begin()
        outputs.append(stack.gradients(x[None], target[None], weight[None], (place + 1,))[0].clone())
        one.learner.finish()
        assert one.learner.gradient_norm is not None
        norms.append(one.learner.gradient_norm)
        one.optimizer.update(lrs[place], place + 1)

    like = torch.empty((ROWS, 6), dtype=torch.float64)
    masks = [torch.stack([Masks(0, 3, 0.5).of(step, like, ROWS) for step in range(1, STEPS + 1)])]
    steps = GroupOfSteps(group.part, group.learner, group.optimizer, group.rule, STEPS)
    arguments = steps.arguments(group.batches, lrs, 0, masks)
    with torch.no_grad():
        found = make_fx(steps)(*(each.clone() for each in arguments))(*arguments)
    # Adam makes steps of lr out of gradients that are 0 but for their last bits, as that of a bias before batch norm is
    torch.testing.assert_close(list(found), [*outputs, *norms], rtol=1e-6, atol=1e-8)
    for ours, theirs in zip(group.state(), one.state(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-8)


def test_large_products_are_left_to_the_compiler() -> None:
    rows_, units = 256, 300
    spec = LayeredNetwork.model_validate(
        {"layers": [{"type": "linear", "units": units}, {"type": "linear", "units": 3}]}
    )
    network = build_network(spec, (28,), seed=0, precision="float32")
    loss = build_loss(loss_spec.CrossEntropy(), "classification", 3, 3, torch.float32)
    flat = FlatParameters(network)
    optimizer = build_optimizer(SGD(), flat)
    assert isinstance(optimizer, FirstOrder)
    learner = Learner(network, flat, loss, RegularizationSpec())
    steps = GroupOfSteps(Part(network, flat, loss, 0, rows_), learner, optimizer, SGD(), 1)
    batch = (
        torch.randn((rows_, 28), generator=torch.Generator().manual_seed(0)),
        torch.zeros(rows_, dtype=torch.int64),
        None,
    )
    arguments = steps.arguments([batch], [0.1], 0, [])
    with torch.no_grad():
        graph = make_fx(steps)(*(each.clone() for each in arguments))
    assert not [node for node in graph.graph.nodes if "mkldnn" in str(node.target)]
