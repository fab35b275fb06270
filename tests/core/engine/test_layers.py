"""Every layer against PyTorch's own module: outputs, shapes, parameters, operations, gradients; sequences against the
same layer on turned axes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from core.spec.layer_base import ShapeError
from core.spec.layers import LAYERS
from tests.core.engine.layer_bench import Document, inputs, module_of, settled
from tests.core.spec.minimal import minimal, shape_for

REFERENCES: list[tuple[Document, tuple[int, ...], Callable[[], nn.Module]]] = [
    ({"type": "conv2d", "channels": 6, "kernel_size": 3}, (3, 9, 8), lambda: nn.Conv2d(3, 6, 3)),
    (
        {"type": "conv2d", "filters": 6, "kernel_size": [3, 2], "strides": [2, 1], "padding": [1, 2], "dilation": 2},
        (3, 9, 8),
        lambda: nn.Conv2d(3, 6, (3, 2), stride=(2, 1), padding=(1, 2), dilation=2),
    ),
    (
        {"type": "conv2d", "out_channels": 4, "kernel_size": 4, "padding": "same", "groups": 2, "bias": False},
        (2, 7, 7),
        lambda: nn.Conv2d(2, 4, 4, padding="same", groups=2, bias=False),
    ),
    (
        {"type": "conv1d", "channels": 4, "kernel_size": 5, "stride": 2, "padding": 2},
        (1, 20),
        lambda: nn.Conv1d(1, 4, 5, stride=2, padding=2),
    ),
    (
        {"type": "conv_transpose2d", "channels": 3, "kernel_size": 3, "stride": 2, "padding": 1, "output_padding": 1},
        (4, 5, 6),
        lambda: nn.ConvTranspose2d(4, 3, 3, stride=2, padding=1, output_padding=1),
    ),
    (
        {"type": "conv_transpose1d", "channels": 4, "kernel_size": 4, "stride": 3, "padding": 2},
        (1, 7),
        lambda: nn.ConvTranspose1d(1, 4, 4, stride=3, padding=2),
    ),
    ({"type": "upsample", "scale": 3}, (2, 3, 4), lambda: nn.Upsample(scale_factor=3)),
    (
        {"type": "upsample", "scale": [2, 3], "mode": "linear"},
        (2, 3, 4),
        lambda: nn.Upsample(scale_factor=(2, 3), mode="bilinear"),
    ),
    ({"type": "max_pool2d", "kernel_size": 3, "stride": 2, "padding": 1}, (2, 9, 8), lambda: nn.MaxPool2d(3, 2, 1)),
    ({"type": "max_pool1d", "pool_size": 3}, (1, 20), lambda: nn.MaxPool1d(3)),
    (
        {"type": "avg_pool2d", "kernel_size": 3, "stride": 1, "padding": "same", "count_include_pad": False},
        (2, 9, 8),
        lambda: nn.AvgPool2d(3, 1, 1, count_include_pad=False),
    ),
    ({"type": "avg_pool1d", "kernel_size": 4, "padding": 1}, (1, 20), lambda: nn.AvgPool1d(4, padding=1)),
    ({"type": "adaptive_avg_pool2d", "output_size": [4, 3]}, (2, 9, 8), lambda: nn.AdaptiveAvgPool2d((4, 3))),
    ({"type": "adaptive_max_pool2d", "output_size": 5}, (2, 9, 8), lambda: nn.AdaptiveMaxPool2d(5)),
    ({"type": "adaptive_avg_pool2d", "output_size": [3, 2]}, (2, 9, 8), lambda: nn.AdaptiveAvgPool2d((3, 2))),
    ({"type": "adaptive_avg_pool1d", "output_size": 7}, (1, 20), lambda: nn.AdaptiveAvgPool1d(7)),
    ({"type": "adaptive_max_pool1d", "output_size": 7}, (1, 20), lambda: nn.AdaptiveMaxPool1d(7)),
    (
        {"type": "global_avg_pool"},
        (3, 4, 5),
        lambda: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    ),
    ({"type": "global_max_pool"}, (1, 9), lambda: nn.Sequential(nn.AdaptiveMaxPool1d(1), nn.Flatten())),
    ({"type": "batch_norm"}, (3, 4, 5), lambda: nn.BatchNorm2d(3)),
    ({"type": "batch_norm", "layout": "channels_first", "momentum": 0.3}, (3, 4), lambda: nn.BatchNorm1d(3, 1e-5, 0.3)),
    ({"type": "group_norm", "num_groups": 2}, (4, 3, 3), lambda: nn.GroupNorm(2, 4)),
    ({"type": "group_norm", "groups": 3}, (6,), lambda: nn.GroupNorm(3, 6)),
    ({"type": "instance_norm", "affine": True}, (3, 4, 5), lambda: nn.InstanceNorm2d(3, affine=True)),
    ({"type": "layer_norm"}, (5, 4), lambda: nn.LayerNorm(4)),
    ({"type": "rms_norm"}, (5, 4), lambda: nn.RMSNorm(4, eps=1e-6)),
    ({"type": "prelu"}, (3, 4, 5), nn.PReLU),
    ({"type": "prelu", "per_channel": True, "slope": 0.1}, (3, 4, 5), lambda: nn.PReLU(3, init=0.1)),
    (
        {"type": "transformer_encoder", "num_layers": 2, "nhead": 2, "dim_feedforward": 12},
        (5, 8),
        lambda: nn.TransformerEncoder(
            nn.TransformerEncoderLayer(8, 2, 12, batch_first=True), 2, enable_nested_tensor=False
        ),
    ),
    (
        {"type": "transformer_encoder", "heads": 4, "hidden": 12, "activation": "gelu", "norm_first": True},
        (5, 8),
        lambda: nn.TransformerEncoder(
            nn.TransformerEncoderLayer(8, 4, 12, activation="gelu", norm_first=True, batch_first=True),
            1,
            enable_nested_tensor=False,
        ),
    ),
]


@pytest.mark.parametrize(("document", "shape", "reference"), REFERENCES, ids=[str(case[0]) for case in REFERENCES])
def test_outputs_and_names_are_pytorchs(
    document: Document, shape: tuple[int, ...], reference: Callable[[], nn.Module]
) -> None:
    layer = settled(document, shape)
    ours, theirs = module_of(layer, shape), reference().double()
    theirs.load_state_dict(ours.state_dict())
    x = inputs(shape)
    for mode in (True, False):
        if document["type"] == "transformer_encoder" and mode:
            continue  # PyTorch's has dropout
        torch.testing.assert_close(ours.train(mode)(x), theirs.train(mode)(x), rtol=1e-12, atol=1e-12)
    assert tuple(ours(x).shape[1:]) == layer.output_shape(shape)
    assert sum(p.numel() for p in theirs.parameters()) == layer.parameter_count(shape)


def test_attention_is_pytorchs_and_causal_attention_sees_no_future() -> None:
    layer = settled({"type": "self_attention", "num_heads": 2}, (5, 8))
    ours, theirs = module_of(layer, (5, 8)), nn.MultiheadAttention(8, 2, batch_first=True).double()
    theirs.load_state_dict(ours.state_dict())
    x = inputs((5, 8))
    torch.testing.assert_close(ours(x), theirs(x, x, x)[0], rtol=1e-12, atol=1e-12)
    causal = module_of(settled({"type": "self_attention", "heads": 2, "causal": True}, (5, 8)), (5, 8))
    changed = x.clone()
    changed[:, 3:] += 1
    torch.testing.assert_close(causal(x)[:, :3], causal(changed)[:, :3])
    assert not torch.allclose(causal(x)[:, 3:], causal(changed)[:, 3:])


def test_attention_is_the_papers_formula() -> None:
    layer = settled({"type": "self_attention", "heads": 2, "bias": False}, (4, 6))
    module = module_of(layer, (4, 6))
    state = {name: value.numpy() for name, value in module.state_dict().items()}
    x = inputs((4, 6))[0].numpy()
    q, k, v = (x @ w.T for w in np.split(state["in_proj_weight"], 3))
    heads = []
    for columns in (slice(0, 3), slice(3, 6)):
        scores = q[:, columns] @ k[:, columns].T / math.sqrt(3)
        weights = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
        heads.append(weights @ v[:, columns])
    expected = np.concatenate(heads, 1) @ state["out_proj.weight"].T
    np.testing.assert_allclose(module(inputs((4, 6)))[0].detach().numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("features", [6, 7])
def test_positions_are_the_papers_sines(features: int) -> None:
    module = module_of(settled({"type": "positional_encoding"}, (5, features)), (5, features))
    expected = np.zeros((5, features))
    for t in range(5):
        for i in range(features):
            angle = t / 10_000 ** (2 * (i // 2) / features)
            expected[t, i] = math.sin(angle) if i % 2 == 0 else math.cos(angle)
    np.testing.assert_allclose(module(torch.zeros(2, 5, features, dtype=torch.float64))[1], expected, atol=1e-12)
    assert not list(module.state_dict())
    learnt = module_of(settled({"type": "positional_encoding", "kind": "learnt"}, (50, 40)), (50, 40))
    assert float(learnt.get_parameter("weight").detach().std()) == pytest.approx(0.02, rel=0.1)


def test_an_embedding_reads_codes_that_came_as_floats() -> None:
    module = module_of(settled({"type": "embedding", "num_embeddings": 5, "embedding_dim": 3}, (4,)), (4,))
    codes = inputs((4,), "embedding")
    table = module.get_parameter("weight")
    for x in (codes, codes[:, :, None], codes[:, None]):
        assert torch.equal(module(x), table[codes.long()])


TURNED: list[Document] = [
    {"type": "conv1d", "channels": 4, "kernel_size": 3, "stride": 2, "dilation": 2, "groups": 2},
    {"type": "conv1d", "channels": 4, "kernel_size": 4, "stride": 3, "padding": "same"},
    {"type": "conv_transpose1d", "channels": 4, "kernel_size": 3, "stride": 2, "padding": "same"},
    {"type": "upsample", "scale": 2, "mode": "linear"},
    {"type": "max_pool1d", "kernel_size": 3, "padding": 1},
    {"type": "avg_pool1d", "kernel_size": 3, "stride": 1, "padding": "same"},
    {"type": "adaptive_avg_pool1d", "output_size": 3},
    {"type": "adaptive_max_pool1d", "output_size": 4},
    {"type": "global_avg_pool"},
    {"type": "global_max_pool"},
    {"type": "batch_norm"},
    {"type": "group_norm", "groups": 2},
    {"type": "instance_norm", "affine": True},
    {"type": "prelu", "per_channel": True},
]


@pytest.mark.parametrize("document", TURNED, ids=lambda each: each["type"])
def test_a_sequence_is_the_turned_image_of_channels_first(document: Document) -> None:
    """The same weights, which have PyTorch's shapes either way."""
    over_time = settled({**document, "layout": "sequence"}, (8, 4))
    first = settled({**document, "layout": "channels_first"}, (4, 8))
    ours, theirs = module_of(over_time, (8, 4)), module_of(first, (4, 8))
    assert {k: v.shape for k, v in ours.state_dict().items()} == {k: v.shape for k, v in theirs.state_dict().items()}
    x = inputs((8, 4))
    out = theirs(x.transpose(1, 2))
    torch.testing.assert_close(ours(x), out.transpose(1, 2) if out.ndim == 3 else out)
    assert tuple(ours(x).shape[1:]) == over_time.output_shape((8, 4))
    assert over_time.parameter_count((8, 4)) == first.parameter_count((4, 8))
    assert over_time.flops((8, 4)) == first.flops((4, 8))


sizes = st.integers(1, 4)
CONVOLUTIONS = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["conv2d", "conv_transpose2d"]),
        "channels": st.sampled_from([2, 4, 6]),
        "kernel_size": sizes | st.tuples(sizes, sizes),
        "stride": sizes | st.tuples(sizes, sizes),
        "dilation": st.integers(1, 2) | st.tuples(st.integers(1, 2), st.integers(1, 3)),
        "groups": st.sampled_from([1, 2]),
        "bias": st.booleans(),
        "padding": st.integers(0, 3) | st.tuples(st.integers(0, 2), st.integers(0, 3)) | st.just("same"),
    }
)
POOLS = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["max_pool2d", "avg_pool2d"]),
        "kernel_size": sizes | st.tuples(sizes, sizes),
        "stride": st.none() | sizes | st.tuples(sizes, sizes),
        "padding": st.integers(0, 2) | st.just("same") | st.just("valid"),
    }
)


@settings(max_examples=150, deadline=None)
@given(CONVOLUTIONS | POOLS, st.sampled_from([2, 4]), st.integers(1, 9), st.integers(1, 9))
def test_sizes_of_random_windows_are_pytorchs(document: Document, channels: int, height: int, width: int) -> None:
    shape = (channels, height, width)
    try:
        layer = settled(document, shape)
    except ShapeError:
        assume(False)
        raise
    module = module_of(layer, shape)
    with FlopCounterMode(display=False) as counter:
        out = module(inputs(shape)[:1])
    assert tuple(out.shape[1:]) == layer.output_shape(shape)
    assert sum(p.numel() for p in module.parameters()) == layer.parameter_count(shape)
    if "groups" in document:
        biases = layer.bias * math.prod(layer.output_shape(shape))
        assert layer.flops(shape) - biases == counter.get_total_flops()
    if document["padding"] == "same":
        rounded = tuple(-(-n // s) for n, s in zip(shape[1:], layer.strides, strict=True))
        grown = tuple(n * s for n, s in zip(shape[1:], layer.strides, strict=True))
        assert layer.output_shape(shape)[1:] == (grown if "transpose" in document["type"] else rounded)


@settings(max_examples=100, deadline=None)
@given(CONVOLUTIONS | POOLS, st.integers(1, 6), st.integers(1, 6))
def test_what_is_refused_is_what_pytorch_refuses(document: Document, height: int, width: int) -> None:
    """But for padding same, which PyTorch has for convolutions of stride 1 alone."""
    assume(document["padding"] not in ("same", "valid"))
    options = {name: value for name, value in document.items() if name not in ("type", "channels")}
    kinds: dict[str, Any] = {
        "conv2d": lambda: nn.Conv2d(4, document["channels"], **options),
        "conv_transpose2d": lambda: nn.ConvTranspose2d(4, document["channels"], **options),
        "max_pool2d": lambda: nn.MaxPool2d(**options),
        "avg_pool2d": lambda: nn.AvgPool2d(**options),
    }
    shape = (4, height, width)
    try:
        expected: tuple[int, ...] | None = tuple(kinds[document["type"]]()(torch.zeros(1, *shape)).shape[1:])
    except RuntimeError:
        expected = None
    if expected is None or 0 in expected:  # of nothing it makes nothing
        with pytest.raises(ShapeError):
            settled(document, shape)
    else:
        assert settled(document, shape).output_shape(shape) == expected


@pytest.mark.parametrize(
    ("document", "extra"),
    [
        ({"type": "self_attention", "heads": 2}, lambda t, f: 4 * t * f + 5 * 2 * t * t),
        ({"type": "self_attention", "heads": 4, "bias": False}, lambda t, _: 5 * 4 * t * t),
        (
            {"type": "transformer_encoder", "layers": 2, "heads": 2, "hidden": 10},
            lambda t, f: 2 * (4 * t * f + 5 * 2 * t * t + t * (10 + f) + t * (10 + 14 * f)),
        ),
    ],
    ids=["attention", "no bias", "encoder"],
)
def test_operations_of_attention_are_pytorchs_count(document: Document, extra: Callable[[int, int], int]) -> None:
    """PyTorch counts products of matrices alone; biases, softmax (5 a value), norms (6) and activations come on top."""
    shape = (7, 8)
    layer = settled(document, shape)
    # the fused kernel of the CPU is not counted
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        module_of(layer, shape)(inputs(shape)[:1])
    assert layer.flops(shape) - extra(*shape) == counter.get_total_flops()


@pytest.mark.parametrize("name", sorted(LAYERS))
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_gradients_reach_every_parameter(name: str, precision: str) -> None:
    shape = shape_for(name)
    layer = settled(minimal(name), shape)
    module = module_of(layer, shape, precision)
    dtype = torch.float32 if precision == "float32" else torch.float64
    x = inputs(shape, name, dtype).requires_grad_(name != "embedding")
    out = module(x)
    assert out.dtype is dtype
    assert tuple(out.shape[1:]) == layer.output_shape(shape)
    generator = torch.Generator().manual_seed(1)
    (out * torch.randn(out.shape, dtype=dtype, generator=generator)).sum().backward()
    for parameter, value in module.named_parameters():
        assert value.grad is not None, parameter
        assert value.grad.isfinite().all()
        assert value.grad.abs().sum() > 0, parameter
    if name != "embedding":
        assert x.grad is not None
        assert x.grad.abs().sum() > 0


def test_running_statistics_are_averages_of_the_batches_own() -> None:
    layer = settled({"type": "batch_norm", "momentum": 0.25}, (6, 3))
    module = module_of(layer, (6, 3))
    mean, variance = torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    for seed in range(4):
        x = torch.randn(5, 6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * 3 + 2
        out = module.train()(x)
        torch.testing.assert_close(out.mean((0, 1)), torch.zeros(3, dtype=torch.float64), atol=1e-12, rtol=0)
        mean = 0.75 * mean + 0.25 * x.mean((0, 1))
        variance = 0.75 * variance + 0.25 * x.flatten(0, 1).var(0)
    torch.testing.assert_close(module.get_buffer("running_mean"), mean)
    torch.testing.assert_close(module.get_buffer("running_var"), variance)
    torch.testing.assert_close(module.eval()(x), (x - mean) / (variance + 1e-5).sqrt())


def test_dropout_of_attention_drops_in_training_alone() -> None:
    layer = settled({"type": "self_attention", "dropout": 0.5}, (6, 4))
    module, x = module_of(layer, (6, 4)), inputs((6, 4))
    assert torch.equal(module.eval()(x), module.eval()(x))
    assert not torch.equal(module.train()(x), module.train()(x))


@pytest.mark.parametrize(
    ("document", "shape"),
    [
        ({"type": "conv2d", "channels": 8, "kernel_size": 3}, (3, 16, 16)),
        ({"type": "conv_transpose2d", "channels": 4, "kernel_size": 3, "stride": 2}, (8, 8, 8)),
        ({"type": "batch_norm"}, (3, 16, 16)),
        ({"type": "max_pool2d"}, (3, 16, 16)),
        ({"type": "self_attention", "heads": 2}, (32, 16)),
        ({"type": "self_attention", "heads": 2, "dropout": 0.1}, (32, 16)),
        ({"type": "transformer_encoder", "layers": 2, "heads": 2, "hidden": 32}, (32, 16)),
        ({"type": "transformer_encoder", "heads": 4, "hidden": 32, "dropout": 0.1}, (32, 16)),
        ({"type": "lstm", "units": 16}, (20, 8)),
        ({"type": "gru", "units": 16, "layers": 2}, (20, 8)),
        (
            {
                "type": "residual",
                "layers": [{"type": "conv2d", "channels": 8, "kernel_size": 3, "padding": 1}, {"type": "batch_norm"}],
                "activation": "relu",
            },
            (3, 16, 16),
        ),
    ],
    ids=lambda each: each["type"] if isinstance(each, dict) else "",
)
def test_stored_values_are_what_training_keeps(document: Document, shape: tuple[int, ...]) -> None:
    """Within a factor of 2.5 of the numbers that autograd holds, inputs counted and parameters not."""
    layer = settled(document, shape)
    module = module_of(layer, shape, "float32")
    known = {p.untyped_storage().data_ptr() for p in module.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in known:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    x = torch.randn(64, *shape, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        out = module(x)
    held = sum(kept.values()) + out.untyped_storage().nbytes()
    expected = 4 * 64 * (layer.stored_values(shape) + math.prod(shape))
    assert 0.4 < held / expected < 2.5, (held, expected)
