"""Embedding as a PyTorch module."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from core.engine.layer_types.builder import Builder


class CodeError(ValueError):
    """What reached an embedding is no code of its table."""


class Embedding(nn.Embedding):
    """PyTorch's, for codes that come as floats, as all prepared data do: (N, T), (N, T, 1) or (N, 1, T)."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, units); CodeError in evaluation mode, which all data pass before training."""
        codes = x.flatten(1).long()
        if not self.training and not torch.onnx.is_in_onnx_export() and not torch.compiler.is_compiling():
            self._check(x.flatten(1), codes)
        return super().forward(codes)

    def _check(self, x: Tensor, codes: Tensor) -> None:
        wrong = (codes < 0) | (codes >= self.num_embeddings) | (codes != x)
        if wrong.any():
            row, column = wrong.nonzero()[0].tolist()
            raise CodeError(
                f"received the code {float(x[row, column]):g} at place {column} of row {row}, expected whole numbers "
                f"from 0 to {self.num_embeddings - 1}; do give the embedding more entries, or change the codes"
            )


BUILDERS: dict[str, Builder] = {"embedding": lambda layer, _shape: Embedding(layer.entries, layer.units)}
