"""Steps as machine code: several behind each other in one function, and the rest of a window by the direct path.

Which steps make a group is told by where the run stands (`Assembly.stride`): as many as a group has, unless the window
ends before or a step is to be looked at. A run stops and changes between two groups alone, so that one that is resumed
comes to the same groups, and a look moves no bit.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from core.engine.aside import Aside
from core.engine.compiler import find_compiler
from core.engine.optimizers import Evaluate, FirstOrder
from core.engine.rows import Batch, Rows
from core.engine.steps.masks import Masks
from core.engine.steps.solo import Direct, Solo, Tools
from core.engine.steps.stack import Part
from core.engine.steps.traced import GroupOfSteps, widths_of_dropout
from core.errors import TrainingFailed
from core.events import Log
from core.spec.optimizers import Optimizer

_LISTEN_S = 0.2
"""How often a run that compiles asks whether it is to stop."""


class Compiled(Solo):
    """Takes groups of `count` steps with batches like `example` compiled, all others one by one."""

    def __init__(self, tools: Tools, part: Part, optimizer: Optimizer, example: Batch, count: int) -> None:
        super().__init__(tools, count)
        assert isinstance(self.optimizer, FirstOrder)
        self._one_by_one = Direct(tools, part)
        self._steps = GroupOfSteps(part, self.learner, self.optimizer, optimizer, count)
        self._example, self._rows, self._largest = example, len(example[0]), part.largest_batch
        self._masks: list[tuple[Masks, Tensor]] = []
        for layer, width in widths_of_dropout(part.network, example[0]).items():
            p = cast("nn.Dropout", part.network[layer]).p
            self._masks.append((Masks(part.seed, layer, p), example[0].new_empty(self._rows, width)))
        self._code: Callable[..., tuple[Tensor, ...]] | None = None

    def prepare(self, is_stopped: Callable[[], bool]) -> Iterator[Log]:
        """Compiles, which takes half a minute where the cache has no code of this shape, and hears a stop meanwhile."""
        yield Log(f"compiling {self.count} steps into one, which takes half a minute, or seconds where it is kept")
        began = time.monotonic()
        compiling = Aside(self._compile)
        while not compiling.is_done(within_s=_LISTEN_S):
            if is_stopped():
                # the loop stops before its first step, and what is left of this ends with the process
                return
        try:
            self._code = compiling.result()
        except Exception as fault:  # a compiler's errors have no kind in common
            raise TrainingFailed(
                f"the compiler did not take the steps of this run: {type(fault).__name__} {str(fault)[:500]}",
                code="cannot_compile",
                pointer="/training/compile",
                hint="set training.compile to never",
            ) from fault
        yield Log(f"compiled in {time.monotonic() - began:.1f} s")

    def _compile(self) -> Callable[..., tuple[Tensor, ...]]:
        example = self._steps.arguments([self._example] * self.count, [0.0] * self.count, 0, self._drawn(0))
        # a second's import, which only runs that compile have to pay
        inductor = importlib.import_module("core.engine.steps.inductor")
        code: Callable[..., tuple[Tensor, ...]] = inductor.compiled(self._steps, example, find_compiler())
        return code

    def take(self, batches: Sequence[Batch], lrs: Sequence[float], done: int) -> None:
        if not self._is_group(batches, done):
            self._one_by_one.take(batches, lrs, done)
            return
        assert self._code is not None, "a run is prepared before its first step"
        with torch.no_grad():
            results = self._code(*self._steps.arguments(batches, lrs, done, self._drawn(done)))
        norms = results[self.count :] or (None,) * self.count
        for outputs, norm in zip(results[: self.count], norms, strict=True):
            self.tally.add(outputs)
            self.tally.add_norm(norm)

    def outputs(self, rows: Rows, at_once: int) -> Tensor:
        return self._one_by_one.outputs(rows, at_once)

    def looked_at(self, evaluate: Evaluate, lr: float, number: int) -> Tensor:
        return self._one_by_one.looked_at(evaluate, lr, number)

    def gradients(self, number: int, x: Tensor, target: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor]:
        return self._one_by_one.gradients(number, x, target, weight)

    def _is_group(self, batches: Sequence[Batch], done: int) -> bool:
        """Whether these fill the group, none of them shorter or to be looked at; a look comes as the first, alone."""
        are_like = len(batches) == self.count and len(batches[-1][0]) == self._rows == len(batches[0][0])
        return are_like and not self.watch.is_due(done + 1)

    def _drawn(self, done: int) -> list[Tensor]:
        """(count, N, F) for each dropout layer the masks of the steps behind `done`."""
        numbers = range(done + 1, done + self.count + 1)
        return [
            torch.stack([masks.of(number, like, self._largest) for number in numbers]) for masks, like in self._masks
        ]
