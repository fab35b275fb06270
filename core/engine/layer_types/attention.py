"""Attention and positions as PyTorch modules: (N, time, features) in and out."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from core.engine.first_values import Weights
from core.engine.layer_types.builder import Builder
from core.spec import inits
from core.spec.base import Shape
from core.spec.layer_types import attention


class SelfAttention(nn.MultiheadAttention):
    """PyTorch's attention of a sequence to itself."""

    mask: Tensor | None

    def __init__(self, features: int, heads: int, time: int, *, dropout: float, bias: bool, causal: bool) -> None:
        super().__init__(features, heads, dropout=dropout, bias=bias, batch_first=True)
        # true where a time must not look: at those behind it
        mask = torch.ones(time, time, dtype=torch.bool).triu(1) if causal else None
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]  # of queries, keys and values there is one
        """Attention without its weights."""
        return super().forward(x, x, x, need_weights=False, attn_mask=self.mask)[0]


class PositionalEncoding(nn.Module):
    """x + p, p (time, features) fixed."""

    p: Tensor

    def __init__(self, time: int, features: int) -> None:
        super().__init__()
        t = torch.arange(time, dtype=torch.float64)[:, None]
        angle = t / 10_000 ** (torch.arange(0, features, 2, dtype=torch.float64) / features)
        p = torch.stack([angle.sin(), angle.cos()], 2).flatten(1)[:, :features]
        self.register_buffer("p", p, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, time, features)."""
        return x + self.p


class LearntPositions(nn.Module):
    """x + weight, weight (time, features) learnt."""

    def __init__(self, time: int, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(time, features))

    def weights(self) -> Iterator[Weights]:
        """The positions; by `torch` N(0, 0.02^2), for PyTorch has no such layer."""
        yield Weights(self.weight, own=inits.Normal(std=0.02))

    def forward(self, x: Tensor) -> Tensor:
        """(N, time, features)."""
        return x + self.weight


def _self_attention(layer: attention.SelfAttention, shape: Shape) -> nn.Module:
    options = {"bias": layer.bias, "causal": layer.causal}
    return SelfAttention(shape[1], layer.heads, shape[0], dropout=layer.dropout, **options)


def _transformer_encoder(layer: attention.TransformerEncoder, shape: Shape) -> nn.Module:
    one = nn.TransformerEncoderLayer(
        shape[1],
        layer.heads,
        layer.hidden,
        dropout=layer.dropout,
        activation=layer.activation,
        layer_norm_eps=layer.eps,
        batch_first=True,
        norm_first=layer.norm_first,
    )
    return nn.TransformerEncoder(one, layer.layers, enable_nested_tensor=False)


def _positions(layer: attention.PositionalEncoding, shape: Shape) -> nn.Module:
    return LearntPositions(*shape) if layer.kind == "learnt" else PositionalEncoding(*shape)


BUILDERS: dict[str, Builder] = {
    "self_attention": _self_attention,
    "transformer_encoder": _transformer_encoder,
    "positional_encoding": _positions,
}
