"""Embeddings of a table's categories as a PyTorch module."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from core.engine.first_values import Weights
from core.engine.layer_types.builder import Builder
from core.spec import inits
from core.spec.base import Shape
from core.spec.layer_types import columns


class ColumnEmbedding(nn.Module):
    """(N, F) to (N, F - columns + units of all): the numbers in their order, then a vector for each code."""

    numbers: Tensor

    def __init__(self, layer: columns.ColumnEmbedding, features: int) -> None:
        super().__init__()
        self._places = [int(each.index or 0) for each in layer.columns]
        rest = [place for place in range(features) if place not in self._places]
        self.register_buffer("numbers", torch.tensor(rest, dtype=torch.int64), persistent=False)
        self.tables = nn.ModuleList(nn.Embedding(each.entries or 1, each.units or 1) for each in layer.columns)
        for table in self.tables:
            nn.init.zeros_(table.weight)  # type: ignore[arg-type]  # an Embedding's weight is a tensor

    def weights(self) -> Iterator[Weights]:
        """All but the last vector of each table: it stands for what training does not have, and begins with zeros."""
        for table in self.tables:
            assert isinstance(table, nn.Embedding)
            yield Weights(table.weight[:-1], own=inits.Normal(std=1.0))

    def forward(self, x: Tensor) -> Tensor:
        vectors = [table(x[:, place].long()) for table, place in zip(self.tables, self._places, strict=True)]
        return torch.cat([x.index_select(1, self.numbers), *vectors], 1)


def _column_embedding(layer: columns.ColumnEmbedding, shape: Shape) -> nn.Module:
    return ColumnEmbedding(layer, shape[0])


BUILDERS: dict[str, Builder] = {"column_embedding": _column_embedding}
