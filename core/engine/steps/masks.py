"""Dropout masks as a function of (seed, layer, step): known without the steps before, the same in any company."""

from __future__ import annotations

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
