"""Mixed precision: PyTorch's own arithmetic, weights in float32, and the same bits after a resume."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from core.engine.checkpoint import read_meta, read_tensors
from core.engine.flat import FlatParameters
from core.engine.learner import Learner
from core.engine.losses import build_loss
from core.engine.mixed import LossScale, mixed_precision, with_scale
from core.engine.network import build_network
from core.engine.optimizers import build_optimizer
from core.engine.trained import load_trained
from core.errors import Invalid
from core.events import Checkpoint, Failed, Finished, Metrics
from core.spec import losses
from core.spec.layers import LAYERS
from core.spec.network import LayeredNetwork
from core.spec.optimizers import SGD, Adam, Optimizer
from core.spec.training import RegularizationSpec, TrainingSpec
from tests.core.engine.layer_bench import inputs, module_of, settled
from tests.core.engine.test_resume import HARD, assert_same_in_the_end
from tests.core.engine.workbench import Bench, files, last
from tests.core.spec.minimal import minimal, shape_for

CPU = torch.device("cpu")
HALF = ("bfloat16", "float16")
DIGITS: dict[str, Any] = {
    "data": {"dataset": "digits"},
    "network": {"layers": [{"type": "linear", "units": 32}, {"type": "relu"}]},
    "optimizer": {"type": "adam", "lr": 0.01},
}


def digits(precision: str, **training: Any) -> dict[str, Any]:
    return DIGITS | {"training": {"epochs": 3, "device": "cpu", "precision": precision, **training}}


@pytest.mark.parametrize("precision", HALF)
def test_weights_stay_in_float32_and_are_served_and_evaluated_so(bench: Bench, precision: str) -> None:
    events, wide = bench.events(digits(precision)), bench.events(digits("float32"))
    content, state = files(last(events, Checkpoint))
    assert read_meta(state)["path"] == "autograd"
    assert {tensor.dtype for tensor in read_tensors(content)[0].values()} == {torch.float32}
    row, other = last(events, Metrics).values, last(wide, Metrics).values
    assert row["validation.accuracy"] > 0.9
    assert row["train.loss"] != other["train.loss"]
    assert row["train.loss"] == pytest.approx(other["train.loss"], rel=0.05)
    model = load_trained(content)
    assert {parameter.dtype for parameter in model.network.parameters()} == {torch.float32}
    assert isinstance(events[-1], Finished)


@pytest.mark.parametrize("precision", HALF)
def test_resume_is_exact(bench: Bench, precision: str) -> None:
    training = HARD["training"] | {"precision": precision, "device": "cpu"}
    assert_same_in_the_end(bench, HARD | {"training": training})


def test_the_scale_of_the_loss_is_part_of_the_state(bench: Bench) -> None:
    # gradients that overflow at first: the scale falls until they fit, and a resume knows both
    body = HARD | {"training": HARD["training"] | {"precision": "float16", "device": "cpu"}}
    body |= {"loss": {"reduction": "sum"}, "optimizer": {"type": "adam", "lr": 0.01}}
    assert_same_in_the_end(bench, body)
    tensors, meta = read_tensors(files(last(bench.events(body), Checkpoint))[1])
    assert meta["optimizer"]["skipped"] > 0
    assert float(tensors["optimizer.scale_factor"]) == 2.0 ** (16 - meta["optimizer"]["skipped"])


class Reference:
    """The same training by PyTorch's autocast, GradScaler and optimizer."""

    def __init__(self, net: nn.Module, optimizer: torch.optim.Optimizer, first_scale: float) -> None:
        self.net, self.optimizer = net, optimizer
        self.scaler = torch.amp.GradScaler("cpu", init_scale=first_scale)

    def step(self, x: Tensor, y: Tensor) -> None:
        self.optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.float16):
            z = self.net(x)
        loss = nn.functional.cross_entropy(z.float(), y)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        nn.utils.clip_grad_norm_(self.net.parameters(), 0.5)
        self.scaler.step(self.optimizer)
        self.scaler.update()


def batches(count: int) -> Iterator[tuple[Tensor, Tensor]]:
    source = torch.Generator().manual_seed(3)
    for _ in range(count):
        yield torch.randn(16, 6, generator=source), torch.randint(0, 3, (16,), generator=source)


@pytest.mark.parametrize("optimizer", [Adam(lr=0.01), SGD(lr=0.1, momentum=0.9)], ids=["adam", "sgd"])
def test_float16_is_pytorchs_own_training(optimizer: Optimizer) -> None:
    layers = LayeredNetwork.model_validate({"layers": [{"type": "linear", "units": 8}, {"type": "tanh"}]})
    ours, theirs = (build_network(layers, (6,), seed=1, precision="float32") for _ in range(2))
    mixed = mixed_precision(TrainingSpec(precision="float16"), CPU)
    assert mixed is not None
    assert mixed.scale is not None
    mixed.scale.factor.fill_(2.0**24)
    flat = FlatParameters(ours)
    loss = build_loss(losses.CrossEntropy(), "classification", 8, 8, torch.float32)
    learner = Learner(ours, flat, loss, RegularizationSpec(), clip_norm=0.5, mixed=mixed)
    moving = with_scale(build_optimizer(optimizer, flat), mixed)
    by_torch = (
        torch.optim.Adam(theirs.parameters(), lr=0.01)
        if isinstance(optimizer, Adam)
        else torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=0.9)
    )
    reference = Reference(theirs, by_torch, 2.0**24)
    for number, (x, y) in enumerate(batches(30), start=1):
        moving.step(lambda x=x, y=y: learner.gradients(x, y, None), optimizer.lr, number)  # type: ignore[misc]
        reference.step(x, y)
        assert float(mixed.scale.factor) == reference.scaler.get_scale()
    assert moving.numbers()["skipped"] > 0
    torch.testing.assert_close(dict(ours.named_parameters()), dict(theirs.named_parameters()), rtol=1e-4, atol=1e-6)


def test_a_step_that_overflows_leaves_everything_as_it_was() -> None:
    layers = LayeredNetwork.model_validate({"layers": [{"type": "linear", "units": 3}]})
    net = build_network(layers, (6,), seed=1, precision="float32")
    flat = FlatParameters(net)
    mixed = mixed_precision(TrainingSpec(precision="float16"), CPU)
    loss = build_loss(losses.CrossEntropy(), "classification", 3, 3, torch.float32)
    learner = Learner(net, flat, loss, RegularizationSpec(l2=0.1), clip_norm=1.0, mixed=mixed)
    # it looks ahead before the gradient is taken, and has to come back
    textbook = SGD(lr=0.1, momentum=0.9, nesterov=True, form="textbook", weight_decay=0.1)
    moving = with_scale(build_optimizer(textbook, flat), mixed)
    (x, y), (other, label) = batches(2)
    moving.step(lambda: learner.gradients(x, y, None), 0.1, 1)
    assert learner.gradient_norm is not None
    before = flat.values.clone(), {name: tensor.clone() for name, tensor in moving.tensors().items()}
    outputs = moving.step(lambda: learner.gradients(other * 1e6, label, None), 0.1, 2)
    assert outputs.dtype is torch.float32
    assert learner.gradient_norm is None
    assert torch.equal(flat.values, before[0])
    assert torch.equal(moving.tensors()["v"], before[1]["v"])
    assert float(moving.tensors()["scale_factor"]) == float(before[1]["scale_factor"]) / 2


def test_the_scale_grows_when_it_has_long_been_right() -> None:
    scale, gradients = LossScale(CPU), torch.ones(3)
    for _ in range(1999):
        scale.unscale(gradients)
    assert float(scale.factor) == 2.0**16
    scale.unscale(gradients)
    assert float(scale.factor) == 2.0**17
    gradients[1] = torch.nan
    scale.unscale(gradients)
    assert scale.overflowed
    assert float(scale.factor) == 2.0**16


@pytest.mark.parametrize("precision", HALF)
@pytest.mark.parametrize("name", sorted(LAYERS))
def test_every_layer_goes_there_and_back_in_16_bits(name: str, precision: str) -> None:
    shape = shape_for(name)
    module = module_of(settled(minimal(name), shape), shape, "float32")
    mixed = mixed_precision(TrainingSpec(precision=precision), CPU)  # type: ignore[arg-type]  # one of HALF
    assert mixed is not None
    x = inputs(shape, name, torch.float32)
    out = mixed.forward(module.train(), x)
    assert out.dtype is torch.float32
    if any(parameter.requires_grad for parameter in module.parameters()):
        out.square().sum().backward()
    for parameter in module.parameters():
        assert parameter.grad is not None
        assert parameter.grad.dtype is torch.float32
        assert parameter.grad.isfinite().all()


def test_lbfgs_wants_more_bits(bench: Bench) -> None:
    with pytest.raises(Invalid) as refused:
        bench.plan(digits("bfloat16", batch_size="full") | {"optimizer": {"type": "lbfgs"}})
    (error,) = refused.value.errors
    assert (error.pointer, error.code) == ("/training/precision", "lbfgs_needs_precision")
    assert bench.plan(digits("float64", batch_size="full") | {"optimizer": {"type": "lbfgs"}})


def test_layers_that_add_to_the_loss_and_the_microscope(bench: Bench) -> None:
    body = digits("float16") | {"monitor": {"layers": True, "every_steps": 10}}
    body["network"] = {"layers": [{"type": "linear", "units": 8}, {"type": "activity_regularizer", "l1": 0.01}]}
    events = bench.events(body)
    assert not isinstance(events[-1], Failed)
    row = last(events, Metrics).values
    assert row["train.extra_loss"] > 0
    values = [event.values for event in events if isinstance(event, Metrics)]
    norms = [each["layer.0.gradient_norm"] for each in values if "layer.0.gradient_norm" in each]
    # null where the step overflowed; elsewhere of the loss itself, not of the scaled one
    assert sum(norm is not None for norm in norms) > 5
    assert all(norm < 100 for norm in norms if norm is not None)
