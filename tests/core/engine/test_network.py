"""Networks: PyTorch's names and shapes, the spec's shapes and counts, gradients by finite differences."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from core.engine.flat import FlatParameters
from core.engine.layer_types.activations import Swish
from core.engine.layers import BUILDERS
from core.engine.learner import Learner
from core.engine.losses import build_loss
from core.engine.network import build_network
from core.spec import losses
from core.spec.activations import ReLU
from core.spec.layer_types.basic import Dropout, Flatten, Linear, Unflatten
from core.spec.layer_types.norms import BatchNorm, LayerNorm
from core.spec.layers import LAYERS
from core.spec.network import LayeredNetwork
from core.spec.training import RegularizationSpec
from tests.core.spec.minimal import every_layer, shape_for

INPUT = (6,)


def built(*layers: Any, shape: tuple[int, ...] = INPUT, precision: str = "float64") -> nn.Sequential:
    return build_network(LayeredNetwork(layers=layers), shape, seed=2, precision=precision)


def test_there_is_a_builder_for_every_layer_of_the_spec_and_no_other() -> None:
    assert BUILDERS.keys() == LAYERS.keys()


@pytest.mark.parametrize("layer", every_layer(), ids=lambda layer: layer.type)
def test_shape_and_number_of_parameters_are_the_specs(layer: Any) -> None:
    shape = shape_for(layer.type)
    network = built(layer, shape=shape, precision="float32").eval()
    assert tuple(network(torch.zeros(3, *shape)).shape[1:]) == layer.output_shape(shape)
    assert sum(p.numel() for p in network.parameters()) == layer.parameter_count(shape)


def test_names_are_those_of_a_plain_sequential() -> None:
    network = built(Linear(units=5), BatchNorm(), ReLU(), Dropout(), Linear(units=2), precision="float32")
    plain = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Dropout(), nn.Linear(5, 2))
    assert plain.load_state_dict(network.state_dict()).missing_keys == []
    x = torch.randn(7, 6)
    assert torch.equal(plain.eval()(x), network.eval()(x))


def test_swish_learns_its_beta_when_asked() -> None:
    z = torch.linspace(-3, 3, 20, dtype=torch.float64)
    for beta in (0.3, 1.0, 2.0):
        torch.testing.assert_close(Swish(beta, learnable=True)(z), z * torch.sigmoid(beta * z))
        torch.testing.assert_close(Swish(beta, learnable=False).double()(z), z * torch.sigmoid(beta * z))
    assert [name for name, _ in Swish(1.0, learnable=True).named_parameters()] == ["beta"]
    assert not list(Swish(1.0, learnable=False).state_dict())


def test_images_are_normalised_a_channel_and_flattened_in_order() -> None:
    network = built(BatchNorm(), Flatten(), Unflatten(shape=(2, 9)), shape=(2, 3, 3))
    x = torch.randn(5, 2, 3, 3, dtype=torch.float64)
    expected = nn.BatchNorm2d(2).double()(x).reshape(5, 2, 9)
    torch.testing.assert_close(network(x), expected)


def test_flat_parameters_are_the_networks_and_matrices_come_first() -> None:
    network = built(Linear(units=5), LayerNorm(), Linear(units=2))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    flat = FlatParameters(network)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert flat.num_matrix_values == 6 * 5 + 5 * 2
    assert [place.name for place in flat.places][:2] == ["0.weight", "2.weight"]
    flat.values.fill_(3.0)
    assert all(parameter.eq(3).all() for parameter in network.parameters())


SMOOTH = ["sigmoid", "tanh", "elu", "selu", "gelu", "softplus", "swish", "mish", "softsign", "batch_norm", "layer_norm"]
CLASS_LOSSES = [losses.CrossEntropy(label_smoothing=0.1), losses.Focal(), losses.MSE()]


def check_gradients(layers: list[Any], loss: Any, task: str, outputs: int, y: torch.Tensor, **options: Any) -> None:
    """Every gradient of the whole objective against a central difference."""
    network = built(*layers, Linear(units=outputs))
    flat = FlatParameters(network)
    built_loss = build_loss(loss, task, outputs, max(outputs, 2), torch.float64)
    penalties = RegularizationSpec(l1=0.01, l2=0.02)
    learner = Learner(network, flat, built_loss, penalties)
    torch.manual_seed(1)
    x, w = torch.randn(len(y), 6, dtype=torch.float64), torch.rand(len(y), dtype=torch.float64)
    target = built_loss.encode(y)
    learner.gradients(x, target, w)
    gradients = flat.gradients.clone()
    step = 1e-6
    for index in range(len(flat.values)):
        old = float(flat.values[index])
        sides = []
        for value in (old + step, old - step):
            flat.values[index] = value
            sides.append(float(learner.gradients(x, target, w)[0]))
        flat.values[index] = old
        assert float(gradients[index]) == pytest.approx((sides[0] - sides[1]) / (2 * step), rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients_through_every_smooth_layer(name: str) -> None:
    options = {"learnable": True, "beta": 0.7} if name == "swish" else {}
    check_gradients(
        [Linear(units=4), LAYERS[name](**options)], losses.CrossEntropy(), "classification", 3, torch.arange(8) % 3
    )


@pytest.mark.parametrize("loss", CLASS_LOSSES, ids=lambda loss: loss.type)
@pytest.mark.parametrize("outputs", [1, 3])
def test_gradients_of_every_smooth_loss_between_classes(loss: Any, outputs: int) -> None:
    y = torch.arange(6) % max(outputs, 2)
    check_gradients([Linear(units=3), LAYERS["tanh"]()], loss, "classification", outputs, y)


@pytest.mark.parametrize(
    "loss", [losses.MSE(), losses.Huber(delta=0.7), losses.LogCosh(), losses.Poisson()], ids=lambda loss: loss.type
)
def test_gradients_of_every_smooth_loss_between_numbers(loss: Any) -> None:
    torch.manual_seed(4)
    check_gradients([Linear(units=3), LAYERS["tanh"]()], loss, "regression", 2, torch.rand(6, 2, dtype=torch.float64))


def test_clipping_is_pytorchs() -> None:
    for norm, value in ((0.5, None), (None, 0.05), (0.3, 0.05), (1e9, None)):
        network, twin = (built(Linear(units=4), ReLU(), Linear(units=3)) for _ in range(2))
        loss = build_loss(losses.CrossEntropy(), "classification", 3, 3, torch.float64)
        learner = Learner(
            network, FlatParameters(network), loss, RegularizationSpec(), clip_norm=norm, clip_value=value
        )
        x, y = torch.randn(9, 6, dtype=torch.float64) * 5, torch.arange(9) % 3
        learner.gradients(x, y, None)
        nn.functional.cross_entropy(twin(x), y).backward()
        before = nn.utils.get_total_norm([p.grad for p in twin.parameters() if p.grad is not None])
        if value:
            nn.utils.clip_grad_value_(twin.parameters(), value)
        if norm:
            nn.utils.clip_grad_norm_(twin.parameters(), norm)
        for mine, theirs in zip(network.parameters(), twin.parameters(), strict=True):
            torch.testing.assert_close(mine.grad, theirs.grad)
        assert learner.gradient_norm is not None
        torch.testing.assert_close(learner.gradient_norm, before)
