"""Centres of data: k-means++ (Arthur and Vassilvitskii 2007) and Lloyd's iteration, in double on the CPU.

Legend: N rows, F features, K centres; every draw comes from the generator that is given.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor

_MOST_ROUNDS = 300


def squared_distances(x: Tensor, centres: Tensor) -> Tensor:
    """(N, K) |x - c|^2, at least 0."""
    products = x @ centres.T
    return (x.square().sum(1, keepdim=True) - 2 * products + centres.square().sum(1)).clamp_min(0)


def k_means(x: Tensor, k: int, source: Generator) -> tuple[Tensor, Tensor]:
    """(centres (K, F), spreads (K,)); a spread is the root mean squared distance of a centre's rows from it.

    With fewer different rows than centres some centres are equal.
    """
    x = x.detach().to("cpu", torch.float64)
    centres = lloyd(x, plus_plus(x, k, source))
    distances = squared_distances(x, centres)
    nearest = distances.argmin(1)
    counts = torch.bincount(nearest, minlength=k).clamp_min(1)
    spreads = torch.zeros(k, dtype=x.dtype).index_add_(0, nearest, distances.gather(1, nearest[:, None])[:, 0])
    return centres, (spreads / counts).sqrt()


def plus_plus(x: Tensor, k: int, source: Generator) -> Tensor:
    """(K, F) rows as first centres: each drawn with probability by its squared distance to those before it.

    Of 2 + log K candidates the one that leaves the least sum is taken, as scikit-learn does.
    """
    candidates = 2 + int(torch.tensor(float(k)).log())
    first = torch.randint(len(x), (1,), generator=source)
    chosen = [int(first)]
    nearest = squared_distances(x, x[first])[:, 0]
    while len(chosen) < k:
        if float(nearest.sum()) > 0:
            drawn = torch.multinomial(nearest, candidates, replacement=True, generator=source)
        else:
            drawn = torch.randint(len(x), (1,), generator=source)
        closer = torch.minimum(nearest[:, None], squared_distances(x, x[drawn]))
        best = int(closer.sum(0).argmin())
        chosen.append(int(drawn[best]))
        nearest = closer[:, best]
        nearest[chosen[-1]] = 0  # rounding must not draw it again
    return x[torch.tensor(chosen)].clone()


def lloyd(x: Tensor, centres: Tensor) -> Tensor:
    """Moves each centre to the mean of the rows nearest to it until none changes sides."""
    before: Tensor | None = None
    for _ in range(_MOST_ROUNDS):
        distances = squared_distances(x, centres)
        nearest = distances.argmin(1)
        if before is not None and torch.equal(nearest, before):
            break
        before = nearest
        counts = torch.bincount(nearest, minlength=len(centres))
        sums = torch.zeros_like(centres).index_add_(0, nearest, x)
        centres = torch.where(counts[:, None] > 0, sums / counts.clamp_min(1)[:, None], centres)
    return centres
