"""Where the networks of a stack stand in memory: each begins in its line of 64 bytes as it would alone."""

from __future__ import annotations

from torch import Tensor

LINE = 16
LINE_BYTES = 64


def apart(x: Tensor) -> Tensor:
    """The same values, each network's in a block of its own; x itself where there is one network."""
    return x if len(x) == 1 else room_apart(x).copy_(x)


def room_apart(like: Tensor) -> Tensor:
    """Room for values of this shape (M, ...), with a gap behind each network's."""
    size = like[0].numel()
    return like.new_empty(len(like), (size // LINE + 1) * LINE)[:, :size].view(like.shape)


def in_line(x: Tensor) -> Tensor:
    """The same values, each network's beginning in its line of memory where it would alone."""
    return apart(x) if x.stride(0) * x.element_size() % LINE_BYTES else x
