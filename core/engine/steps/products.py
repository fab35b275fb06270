"""Matrix products of a stack of networks: which library computes them is chosen once for a size.

Legend: M networks; a is (M, I, J), b (M, J, K) and the bias, if there is one, (M, 1, K).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from core.engine.steps.blocks import LINE_BYTES, room_apart

Product = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""a b + bias, (M, I, K)."""

_MULTIPLICATIONS_FOR_ONEDNN = 10**6
_linear = torch.ops.mkldnn._linear_pointwise  # noqa: SLF001 - it has no public name
_HAS_ONEDNN = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]  # torch has no type for it


def product_for(b: Tensor, rows: int) -> Product:
    """What multiplies matrices a of so many rows with b, and with all others of its shape and kind."""
    networks, inner, columns = b.shape
    if columns == 1:
        return _by_sums
    # from about here on oneDNN is quicker than MKL: on some processors by two to four times
    is_large = rows * inner * columns >= _MULTIPLICATIONS_FOR_ONEDNN
    if is_large and _HAS_ONEDNN and b.dtype == torch.float32 and b.device.type == "cpu":
        return _by_onednn
    # where a product's rows begin may move a bit as well
    return _by_blas_apart if networks > 1 and rows * columns * b.element_size() % LINE_BYTES else by_blas


def by_blas(a: Tensor, b: Tensor, bias: Tensor | None) -> Tensor:
    return torch.bmm(a, b) if bias is None else torch.baddbmm(bias, a, b)


def _by_blas_apart(a: Tensor, b: Tensor, bias: Tensor | None) -> Tensor:
    room = room_apart(a.new_empty(1).expand(a.shape[0], a.shape[1], b.shape[2]))
    return torch.bmm(a, b, out=room) if bias is None else torch.baddbmm(bias, a, b, out=room)


def _by_sums(a: Tensor, b: Tensor, bias: Tensor | None) -> Tensor:
    """Libraries multiply one matrix with a vector in another way than several."""
    y = (a * b.transpose(1, 2)).sum(2, keepdim=True)
    return y if bias is None else y.add_(bias)


def _by_onednn(a: Tensor, b: Tensor, bias: Tensor | None) -> Tensor:
    biases = bias.unbind() if bias is not None else [None] * len(a)
    each = [
        _linear(rows, columns, None if own is None else own[0], "none", [], "")
        for rows, columns, own in zip(a, b.mT, biases, strict=True)
    ]
    return each[0].unsqueeze(0) if len(each) == 1 else torch.stack(each)
