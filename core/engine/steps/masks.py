"""Dropout masks as a function of (seed, layer, step): known without the steps before, the same in any company."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from core.engine.seeds import generator

_STEPS_AT_ONCE = 16
_VALUES_AT_ONCE = 2**18


class Masks:
    """The masks of a dropout layer of a run, drawn for several steps at once: (rows, features) each, 0 or 1/(1-p)."""

    def __init__(self, seed: int, layer: int, p: float) -> None:
        self._seed, self._purpose, self._p = seed, f"dropout/{layer}", p
        self._block: tuple[int, Tensor] | None = None

    def of(self, step: int, like: Tensor, rows: int) -> Tensor:
        """The mask of a step for the first rows of (rows, features), `rows` being those of the largest batch."""
        features = like.shape[-1]
        at_once = max(1, min(_STEPS_AT_ONCE, _VALUES_AT_ONCE // (rows * features)))
        number, place = divmod(step, at_once)
        if self._block is None or self._block[0] != number:
            drawn = torch.rand((at_once, rows, features), generator=generator(self._seed, self._purpose, number))
            kept = (drawn >= self._p).to(like.dtype).mul_(1 / (1 - self._p))
            self._block = number, kept.to(like.device)
        return self._block[1][place, : like.shape[-2]]


class StackedMasks:
    """The masks of one dropout layer of a stack, each network's own, and the places where a graph reads them."""

    def __init__(self, each: Sequence[Masks], rows: int) -> None:
        self._each, self._rows = each, rows
        self._held: dict[torch.Size, Tensor] | None = None

    def of(self, x: Tensor, steps: Sequence[int]) -> Tensor:
        """(M, N, F) the masks for x of that shape, each network's for the step that it has come to."""
        if self._held is None:
            return self._drawn(x, steps)
        if x.shape not in self._held:
            self._held[x.shape] = self._drawn(x, steps).clone()
        return self._held[x.shape]

    def hold(self, held: bool) -> None:
        """Whether masks stand in places of their own, one for each shape, until they are renewed there."""
        self._held = {} if held else None

    def renew(self, steps: Sequence[int], rows: int) -> None:
        """Puts the masks of other steps into the places for so many rows."""
        for shape, room in (self._held or {}).items():
            if shape[1] == rows:
                room.copy_(self._drawn(room, steps))

    def _drawn(self, x: Tensor, steps: Sequence[int]) -> Tensor:
        drawn = [masks.of(step, x[0], self._rows) for masks, step in zip(self._each, steps, strict=True)]
        return torch.stack(drawn) if len(drawn) > 1 else drawn[0].unsqueeze(0)
