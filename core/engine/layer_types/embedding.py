"""Embedding as a PyTorch module."""

from __future__ import annotations

from torch import Tensor, nn

from core.engine.layer_types.builder import Builder


class Embedding(nn.Embedding):
    """PyTorch's, for codes that come as floats, as all prepared data do: (N, T), (N, T, 1) or (N, 1, T)."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, units)."""
        return super().forward(x.flatten(1).long())


BUILDERS: dict[str, Builder] = {"embedding": lambda layer, _shape: Embedding(layer.entries, layer.units)}
