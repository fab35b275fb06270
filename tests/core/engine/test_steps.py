"""The written-out backward pass: PyTorch's gradients, and the same bits alone and in a stack."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from core.engine.flat import FlatParameters
from core.engine.layer_types import activations
from core.engine.learner import Learner
from core.engine.losses import Loss, build_loss
from core.engine.network import build_network
from core.engine.run import train
from core.engine.slopes import NUMBERS
from core.engine.steps.blocks import apart
from core.engine.steps.masks import Masks
from core.engine.steps.stack import Part, Stack, is_stackable, likeness
from core.engine.steps.table import KERNELS
from core.events import Started
from core.spec import losses as loss_spec
from core.spec.network import LayeredNetwork
from core.spec.training import RegularizationSpec
from tests.core.engine.workbench import Bench

FEATURES, ROWS = 6, 13
ACTIVATION_TYPES = sorted(activations.BUILDERS)
BODIES: dict[str, list[dict[str, Any]]] = {
    "linear": [],
    "no_bias": [{"type": "linear", "units": 8, "bias": False}],
    "activation_first": [{"type": "relu"}, {"type": "linear", "units": 8}],
    "two_in_a_row": [{"type": "linear", "units": 8}, {"type": "tanh"}, {"type": "relu"}, {"type": "relu"}],
    "batch_norm": [{"type": "linear", "units": 8}, {"type": "batch_norm"}, {"type": "relu"}],
    "batch_norm_plain": [{"type": "batch_norm", "affine": False}, {"type": "relu"}, {"type": "linear", "units": 8}],
    "layer_norm": [{"type": "linear", "units": 8}, {"type": "layer_norm"}, {"type": "relu"}],
    "layer_norm_plain": [{"type": "linear", "units": 8}, {"type": "layer_norm", "affine": False}, {"type": "relu"}],
    "group_norm": [{"type": "linear", "units": 8}, {"type": "group_norm", "groups": 2}, {"type": "sigmoid"}],
    "rms_norm": [{"type": "rms_norm"}, {"type": "linear", "units": 8}, {"type": "rms_norm"}, {"type": "tanh"}],
    **{f"activation_{name}": [{"type": "linear", "units": 8}, {"type": name}] for name in ACTIVATION_TYPES},
    "swish_learnt": [{"type": "linear", "units": 8}, {"type": "swish", "beta": 1.5, "learnable": True}],
    "swish_sharp": [{"type": "linear", "units": 8}, {"type": "swish", "beta": 1.5}],
    "prelu_per_channel": [{"type": "linear", "units": 8}, {"type": "prelu", "per_channel": True}],
}


def network(body: list[dict[str, Any]], seed: int, outputs: int = 3, precision: str = "float64") -> nn.Sequential:
    layers = LayeredNetwork.model_validate({"layers": [*body, {"type": "linear", "units": outputs}]})
    return build_network(layers, (FEATURES,), seed=seed, precision=precision)


def layered(layers: list[dict[str, Any]], sample: tuple[int, ...]) -> nn.Sequential:
    return build_network(LayeredNetwork.model_validate({"layers": layers}), sample, seed=0, precision="float64")


def classes(weighted: bool = False, **loss: Any) -> Loss:
    built = build_loss(loss_spec.CrossEntropy(**loss), "classification", 3, 3, torch.float64)
    return built.for_weights(weights()) if weighted else built


def batch(seed: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    source = torch.Generator().manual_seed(seed)
    x = torch.randn((ROWS, FEATURES), generator=source, dtype=torch.float64).to(dtype)
    return x, torch.randint(0, 3, (ROWS,), generator=source)


def weights(seed: int = 0) -> Tensor:
    return torch.rand(ROWS, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def part(net: nn.Sequential, loss: Loss, seed: int = 0) -> Part:
    return Part(net, FlatParameters(net), loss, seed, ROWS)


def recorded(net: nn.Sequential, loss: Loss, x: Tensor, target: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor]:
    """Outputs and gradients as autograd has them."""
    flat = FlatParameters(net)
    _, outputs = Learner(net, flat, loss, RegularizationSpec()).backward(x, target, weight)
    return outputs, flat.gradients


def compare(net: nn.Sequential, loss: Loss, x: Tensor, target: Tensor, weight: Tensor | None = None) -> None:
    net.train()
    untouched = x.clone()
    buffers = {name: buffer.clone() for name, buffer in net.named_buffers()}
    outputs, gradients = recorded(net, loss, x, target, weight)
    after = {name: buffer.clone() for name, buffer in net.named_buffers()}
    net.load_state_dict(buffers, strict=False)
    one = part(net, loss)
    stacked = Stack([one])
    weights = None if weight is None else weight.unsqueeze(0)
    for _ in range(2):
        net.load_state_dict(buffers, strict=False)
        ours = stacked.gradients(x.unsqueeze(0), target.unsqueeze(0), weights, (1,))[0]
    torch.testing.assert_close(ours, outputs)
    torch.testing.assert_close(one.flat.gradients, gradients)
    torch.testing.assert_close(dict(net.named_buffers()), after)
    assert torch.equal(x, untouched)


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_gradients_are_pytorchs(body: list[dict[str, Any]]) -> None:
    compare(network(body, seed=1), classes(), *batch())


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_outputs_in_evaluation_mode_are_pytorchs_and_move_nothing(body: list[dict[str, Any]]) -> None:
    x, target = batch()
    net = network([*body, {"type": "dropout", "p": 0.5}], 3)
    stack = Stack([part(net, classes())])
    # moments that are neither 0 nor 1
    stack.gradients(x.unsqueeze(0), target.unsqueeze(0), None, (1,))
    untouched = {name: value.clone() for name, value in net.state_dict().items()}
    rows = x.clone()
    ours = stack.outputs(rows.unsqueeze(0))[0]
    with torch.inference_mode():
        torch.testing.assert_close(ours, net.eval()(x), rtol=1e-10, atol=1e-12)
    assert torch.equal(rows, x)
    assert all(torch.equal(value, untouched[name]) for name, value in net.state_dict().items())


def test_every_layer_that_has_a_kernel_is_compared_with_pytorch() -> None:
    nets = [network(body, seed=0) for body in BODIES.values()]
    assert {type(layer) for net in nets for layer in net} | {nn.Flatten, nn.Dropout} == set(KERNELS)


LOSSES: dict[str, tuple[Any, str, int]] = {
    "cross_entropy": (loss_spec.CrossEntropy(), "classification", 3),
    "smoothed": (loss_spec.CrossEntropy(label_smoothing=0.1), "classification", 3),
    "summed": (loss_spec.CrossEntropy(reduction="sum"), "classification", 3),
    "bce": (loss_spec.BCE(), "classification", 1),
    "bce_smoothed": (loss_spec.BCE(label_smoothing=0.2), "classification", 1),
    "focal": (loss_spec.Focal(), "classification", 3),
    "focal_two": (loss_spec.Focal(), "classification", 1),
    "hinge": (loss_spec.Hinge(), "classification", 3),
    "mse_of_classes": (loss_spec.MSE(), "classification", 3),
    **{f"numbers_{kind.model_fields['type'].default}": (kind(), "regression", 2) for kind in NUMBERS},
}


@pytest.mark.parametrize("weighting", ["none", "weights", "signed"])
@pytest.mark.parametrize(("spec", "task", "outputs"), LOSSES.values(), ids=LOSSES)
def test_every_loss(spec: Any, task: str, outputs: int, weighting: str) -> None:
    loss = build_loss(spec, task, outputs, max(2, outputs), torch.float64)
    x, _ = batch()
    source = torch.Generator().manual_seed(5)
    if task == "classification":
        y = torch.randint(0, max(2, outputs), (ROWS,), generator=source)
    else:
        y = torch.rand((ROWS, outputs), generator=source, dtype=torch.float64)
    weight = None if weighting == "none" else weights() - (0.2 if weighting == "signed" else 0.0)
    loss = loss.for_weights(weight)
    assert (loss.mean_weight is not None) == (weighting == "signed")
    compare(network([{"type": "linear", "units": 5}, {"type": "tanh"}], 2, outputs), loss, x, loss.encode(y), weight)


def test_flattened_images() -> None:
    layers = LayeredNetwork.model_validate(
        {"layers": [{"type": "flatten"}, {"type": "relu"}, {"type": "linear", "units": 3}]}
    )
    net = build_network(layers, (2, 3), seed=0, precision="float64")
    x, y = batch()
    assert is_stackable(net, (2, 3))
    compare(net, classes(), x.view(-1, 2, 3), y)


def test_other_networks_keep_to_autograd() -> None:
    assert not is_stackable(layered([{"type": "conv1d", "channels": 2, "kernel_size": 3}], (4, 1)), (4, 1))
    assert not is_stackable(layered([{"type": "tanh"}], (4,)), (4,))


DROPPING = [{"type": "linear", "units": 40}, {"type": "dropout", "p": 0.3}, {"type": "relu"}]


def test_dropout_drops_its_share_and_goes_back_through_the_same_mask() -> None:
    net = network(DROPPING, seed=3)
    one = part(net, classes(), seed=9)
    x, y = batch()
    Stack([one]).gradients(x.unsqueeze(0), y.unsqueeze(0), None, (4,))
    mask = Masks(9, 1, 0.3).of(4, x.new_empty(ROWS, 40), ROWS)
    assert 0.2 < float((mask == 0).double().mean()) < 0.4
    assert torch.equal(mask.unique(), torch.tensor([0, 1 / 0.7], dtype=torch.float64))

    class Fixed(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return z * mask

    twin = nn.Sequential(net[0], Fixed(), net[2], net[3])
    _, gradients = recorded(twin, classes(), x, y, None)
    torch.testing.assert_close(one.flat.gradients, gradients)


def test_masks_are_a_function_of_seed_layer_and_step() -> None:
    like = torch.empty(ROWS, 7)
    first = Masks(1, 0, 0.5)
    at = {step: first.of(step, like, ROWS).clone() for step in (0, 1, 15, 16, 40)}
    for step in (40, 0, 16, 1, 15):
        assert torch.equal(Masks(1, 0, 0.5).of(step, like, ROWS), at[step])
    assert not torch.equal(at[0], at[1])
    assert not torch.equal(at[0], Masks(2, 0, 0.5).of(0, like, ROWS))
    assert not torch.equal(at[0], Masks(1, 1, 0.5).of(0, like, ROWS))
    # a smaller batch has the first rows of the same mask
    assert torch.equal(first.of(40, like[:5], ROWS), at[40][:5])


@pytest.mark.parametrize("company", [(1,), (1, 2, 3)], ids=["alone", "in_company"])
def test_large_products_agree_with_pytorchs_and_do_not_depend_on_company(company: tuple[int, ...]) -> None:
    """150 rows of 90 values: more than a million multiplications, which another library does."""
    body = [{"type": "linear", "units": 90}, {"type": "tanh"}, {"type": "linear", "units": 90}, {"type": "relu"}]
    loss = build_loss(loss_spec.CrossEntropy(), "classification", 3, 3, torch.float32)
    nets, rows = [], []
    for seed in company:
        source = torch.Generator().manual_seed(seed)
        rows.append((torch.randn((150, FEATURES), generator=source), torch.randint(0, 3, (150,), generator=source)))
        nets.append(network(body, seed, precision="float32"))
    parts = [Part(net, FlatParameters(net), loss, seed, 150) for seed, net in zip(company, nets, strict=True)]
    x, y = (torch.stack([row[side] for row in rows]) for side in (0, 1))
    Stack(parts).gradients(x, y, None, company)
    twin = network(body, 1, precision="float32")
    _, expected = recorded(twin, loss, *rows[0], None)
    torch.testing.assert_close(parts[0].flat.gradients, expected, rtol=1e-4, atol=1e-6)
    alone = Part(twin, FlatParameters(twin), loss, 1, 150)
    Stack([alone]).gradients(x[:1].clone(), y[:1].clone(), None, (1,))
    assert torch.equal(parts[0].flat.gradients, alone.flat.gradients)


STACKED = {name: body for name, body in BODIES.items() if name != "linear"} | {"dropout": DROPPING}


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("body", STACKED.values(), ids=STACKED)
def test_a_network_has_the_same_bits_alone_and_in_a_stack(body: list[dict[str, Any]], precision: str) -> None:
    dtype = torch.float32 if precision == "float32" else torch.float64
    seeds = (1, 2, 3, 4, 5)
    data = {seed: batch(seed, dtype) for seed in seeds}
    loss = build_loss(loss_spec.CrossEntropy(), "classification", 3, 3, dtype)
    alone: dict[int, tuple[Tensor, ...]] = {}
    for seed in seeds:
        net = network(body, seed, precision=precision)
        one = part(net, loss, seed)
        outputs = Stack([one]).gradients(data[seed][0].unsqueeze(0), data[seed][1].unsqueeze(0), None, (seed,))
        alone[seed] = (outputs[0], one.flat.gradients, *net.buffers())
    for company in ((1, 2, 3, 4, 5), (3, 1), (5, 4, 3)):
        nets = [network(body, seed, precision=precision) for seed in company]
        parts = [part(net, loss, seed) for net, seed in zip(nets, company, strict=True)]
        assert len({likeness(each) for each in parts}) == 1
        x, y = (torch.stack([data[seed][side] for seed in company]) for side in (0, 1))
        outputs = Stack(parts).gradients(x, y, None, company)
        for seed, out, each, net in zip(company, outputs, parts, nets, strict=True):
            for ours, theirs in zip((out, each.flat.gradients, *net.buffers()), alone[seed], strict=True):
                assert torch.equal(ours, theirs)


def drawn(source: random.Random) -> list[dict[str, Any]]:
    """Up to three hidden layers of any kind, with sizes at which blocks of memory begin anywhere."""
    body: list[dict[str, Any]] = []
    for _ in range(source.randint(0, 3)):
        body.append({"type": "linear", "units": source.choice((1, 2, 3, 5, 8, 16, 31, 33, 130))})
        if source.random() < 0.4:
            body.append({"type": source.choice(("batch_norm", "layer_norm", "rms_norm"))})
        if source.random() < 0.8:
            body.append({"type": source.choice(ACTIVATION_TYPES)})
        if source.random() < 0.3:
            body.append({"type": "dropout", "p": 0.3})
    return body


@pytest.mark.parametrize("seed", range(20))
def test_networks_drawn_at_random_have_the_same_bits_alone_and_in_a_stack(seed: int) -> None:
    source = random.Random(seed)
    for _ in range(5):
        body, outputs = drawn(source), source.choice((1, 3))
        rows, features = source.choice((2, 5, 16, 31, 32, 100)), source.choice((1, 3, 13, 28, 64))
        kind = loss_spec.BCE() if outputs == 1 else loss_spec.CrossEntropy()
        loss = build_loss(kind, "classification", outputs, max(2, outputs), torch.float32)
        layers = LayeredNetwork.model_validate({"layers": [*body, {"type": "linear", "units": outputs}]})
        company = source.choice(((0, 1), (0, 1, 2, 3, 4)))
        numbers = torch.Generator().manual_seed(seed)
        x = torch.randn((len(company), rows, features), generator=numbers)
        y = loss.encode(torch.randint(0, max(2, outputs), (len(company) * rows,), generator=numbers))
        y = y.view(len(company), rows, *y.shape[1:])

        def part_of(place: int, layers: LayeredNetwork = layers, n: int = rows, f: int = features) -> Part:
            net = build_network(layers, (f,), seed=place, precision="float32")
            return Part(net, FlatParameters(net), loss, place, n)  # noqa: B023 - called in the same round

        parts = [part_of(place) for place in company]
        outputs_of_all = Stack(parts).gradients(apart(x), y, None, company)
        one = part_of(company[-1])
        alone = Stack([one]).gradients(x[-1:].clone(), y[-1:].clone(), None, company[-1:])
        assert torch.equal(outputs_of_all[-1], alone[0]), body
        assert torch.equal(parts[-1].flat.gradients, one.flat.gradients), body
        # evaluated on rows that all share, and their losses
        shared, answers = torch.randn((97, features), generator=numbers), y.flatten(0, 1)[:1].expand(97, *y.shape[2:])
        of_all = Stack(parts).outputs(shared.expand(len(company), *shared.shape))
        of_one = Stack([one]).outputs(shared.unsqueeze(0))
        assert torch.equal(of_all[-1], of_one[0]), body
        losses = [loss.of_rows(z, answers.expand(len(z), *answers.shape))[-1] for z in (of_all, of_one)]
        assert torch.equal(*losses), body
        assert torch.equal(losses[1], loss.each(of_one[0], answers).double()), body


def test_networks_that_are_not_alike_do_not_share_a_stack() -> None:
    base = [{"type": "linear", "units": 8}, {"type": "leaky_relu", "negative_slope": 0.1}]
    other = [{"type": "linear", "units": 8}, {"type": "leaky_relu", "negative_slope": 0.2}]
    kinds = [
        likeness(part(network(base, 0), classes())),
        likeness(part(network(other, 0), classes())),
        likeness(part(network(base, 0), classes(label_smoothing=0.1))),
        likeness(part(network(base, 0, precision="float32"), classes())),
        likeness(part(network(base, 0, outputs=4), classes())),
    ]
    assert len(set(kinds)) == len(kinds)
    assert likeness(part(network(base, 7), classes())) == kinds[0]
    rates = [[*base, {"type": "dropout", "p": p}] for p in (0.1, 0.6)]
    assert len({likeness(part(network(body, 0), classes())) for body in rates}) == 1


@pytest.mark.parametrize("units", [8, 900])
def test_a_run_is_asked_again_after_a_few_milliseconds(bench: Bench, units: int) -> None:
    """Many steps of a small network are taken at once; one whose steps take long is asked before each."""
    asked: list[int] = []
    body = {"data": {"dataset": "digits"}, "network": {"layers": [{"type": "linear", "units": units}] * 3}}
    run = replace(bench.run(body | {"training": {"epochs": 1, "batch_size": 64}}), threads=1)
    started, *_ = train(run, lambda: asked.append(1))
    assert isinstance(started, Started)
    # a look ends what is taken at once
    assert len(asked) < started.total_steps / 2 if units == 8 else len(asked) == started.total_steps
