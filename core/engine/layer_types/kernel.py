"""Radial basis functions as a PyTorch module."""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn

from core.engine.kmeans import k_means, squared_distances
from core.engine.layer_types.builder import Builder


class RBF(nn.Module):
    """exp(-|x - c|^2 / (2 s^2)), (N, F) to (N, units); centres (units, F), log_widths (units,) = log s."""

    centres: Tensor
    log_widths: Tensor

    def __init__(self, features: int, units: int, *, learns_centres: bool) -> None:
        super().__init__()
        if learns_centres:
            self.centres = nn.Parameter(torch.zeros(units, features))
        else:
            self.register_buffer("centres", torch.zeros(units, features))
        self.log_widths = nn.Parameter(torch.zeros(units))

    def forward(self, x: Tensor) -> Tensor:
        return torch.exp(squared_distances(x, self.centres) * (-0.5 * torch.exp(-2 * self.log_widths)))

    @torch.no_grad()
    def begin_from(self, x: Tensor, source: Generator) -> None:
        """Centres by k-means; widths as the spec's `RBF` says."""
        centres, spreads = k_means(x, len(self.centres), source)
        widths = torch.maximum(_to_neighbours(centres), spreads)
        some = widths[widths > 0]
        widths[widths == 0] = some.mean() if len(some) else 1.0
        self.centres.copy_(centres)
        self.log_widths.copy_(widths.log())


def _to_neighbours(centres: Tensor) -> Tensor:
    """(K,) mean distance of each centre to its two nearest others; 0 where it is alone."""
    if len(centres) == 1:
        return centres.new_zeros(1)
    distances = torch.cdist(centres, centres, compute_mode="donot_use_mm_for_euclid_dist").fill_diagonal_(torch.inf)
    return distances.topk(min(2, len(centres) - 1), largest=False).values.mean(1)


BUILDERS: dict[str, Builder] = {
    "rbf": lambda layer, shape: RBF(shape[-1], layer.units, learns_centres=layer.centres == "learnt")
}
