"""Convolutions, transposed ones and upsampling as PyTorch modules."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from core.engine.layer_types.builder import Builder
from core.engine.layer_types.over_time import oriented
from core.spec.base import Shape
from core.spec.layer_types import conv
from core.spec.layer_types.windows import each


class _Padded:
    """Zeros of its own on each side, for paddings that PyTorch's convolution has no argument for."""

    before: tuple[int, ...] = ()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, ...), padded and convolved."""
        return super().forward(functional.pad(x, self.before))  # type: ignore[misc,no-any-return]  # a mixin before a module


class PaddedConv1d(_Padded, nn.Conv1d):
    """conv1d whose padding differs from side to side."""


class PaddedConv2d(_Padded, nn.Conv2d):
    """conv2d whose padding differs from side to side."""


_KINDS: dict[int, tuple[type[nn.Module], type[nn.Module]]] = {
    1: (nn.Conv1d, PaddedConv1d),
    2: (nn.Conv2d, PaddedConv2d),
}


def _conv(layer: conv.Convolution, shape: Shape) -> nn.Module:
    around = layer.around_axes(shape)
    plain, padded = _KINDS[layer.axes]
    even = all(before == behind for before, behind in around)
    kind = oriented(plain if even else padded, layer, shape)
    module: nn.Module = kind(
        layer.channels_of(shape),
        layer.channels,
        layer.kernel,
        stride=layer.strides,
        padding=tuple(before for before, _ in around) if even else 0,
        dilation=layer.dilations,
        groups=layer.groups,
        bias=layer.bias,
    )
    if isinstance(module, _Padded):
        # functional.pad begins with the last axis
        module.before = tuple(number for sides in reversed(around) for number in sides)
    return module


def _transposed(layer: conv.Transposed, shape: Shape) -> nn.Module:
    kind = oriented({1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d}[layer.axes], layer, shape)
    module: nn.Module = kind(
        layer.channels_of(shape),
        layer.channels,
        layer.kernel,
        stride=layer.strides,
        padding=tuple(cut for cut, _ in layer.cut()),
        output_padding=tuple(extra for _, extra in layer.cut()),
        dilation=layer.dilations,
        groups=layer.groups,
        bias=layer.bias,
    )
    return module


def _upsample(layer: conv.Upsample, shape: Shape) -> nn.Module:
    axes = len(shape) - 1
    mode = {"nearest": "nearest", "linear": "linear" if axes == 1 else "bilinear"}[layer.mode]
    scale: Any = tuple(float(factor) for factor in each(layer.scale, axes))
    module: nn.Module = oriented(nn.Upsample, layer, shape)(scale_factor=scale, mode=mode)
    return module


BUILDERS: dict[str, Builder] = {
    "conv1d": _conv,
    "conv2d": _conv,
    "conv_transpose1d": _transposed,
    "conv_transpose2d": _transposed,
    "upsample": _upsample,
}
