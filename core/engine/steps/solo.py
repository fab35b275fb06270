"""One run's steps, one after another, each looked at where it is due."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from core.engine.learner import Learner
from core.engine.microscope import Microscope
from core.engine.optimizers import Evaluate, FirstOrder, Optimizer
from core.engine.outputs import at_hand, forward
from core.engine.rows import Batch, Rows
from core.engine.steps.graphed import Gradients, gradients_of
from core.engine.steps.stack import Part
from core.engine.tally import Tally
from core.engine.watch import Watch
from core.events import Log


@dataclass(frozen=True, slots=True)
class Tools:
    """What every step of a run needs."""

    learner: Learner
    optimizer: Optimizer
    watch: Watch
    tally: Tally


class Solo(ABC):
    """Takes the steps of one run: batch by batch a gradient, an update, and a note for the tally."""

    def __init__(self, tools: Tools, count: int = 1) -> None:
        self.count = count
        """Steps that it takes at once, in whatever company, before the run is asked whether it is to go on."""
        self.learner, self.optimizer = tools.learner, tools.optimizer
        self.watch, self.tally = tools.watch, tools.tally

    def prepare(self, is_stopped: Callable[[], bool]) -> Iterator[Log]:  # noqa: ARG002 - most have nothing to wait for
        """Makes ready what the first step needs, telling what takes long. It ends early when `is_stopped` says that no
        step will come: it is asked several times a second.
        """
        yield from ()

    def take(self, batches: Sequence[Batch], lrs: Sequence[float], done: int) -> None:
        """One step a batch, behind the `done` steps before them."""
        for number, (batch, lr) in enumerate(zip(batches, lrs, strict=True), start=done + 1):
            step = self.looked_at if self.watch.is_due(number) else self.optimizer.step
            outputs = step(partial(self.gradients, number, *batch), lr, number)
            self.tally.add(outputs, self.learner.extra_loss)
            self.tally.add_norm(self.learner.gradient_norm)

    def outputs(self, rows: Rows, at_once: int) -> Tensor:
        """The outputs (N, ...) in evaluation mode for all rows, so many at once."""
        return forward(self.learner.network, rows.x, at_once, rows.device)

    @abstractmethod
    def looked_at(self, evaluate: Evaluate, lr: float, number: int) -> Tensor:
        """The optimizer's step with this number, which the microscope sees; returns the outputs."""

    @abstractmethod
    def gradients(self, number: int, x: Tensor, target: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor]:
        """The objective () and the outputs (N, ...) of the step `number`; its gradients stand in the flat buffer."""


class Autograd(Solo):
    """Any network: PyTorch records the forward pass and goes back through it."""

    def looked_at(self, evaluate: Evaluate, lr: float, number: int) -> Tensor:
        return self.watch.microscope.step(self.optimizer, evaluate, lr, number)

    def gradients(self, number: int, x: Tensor, target: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor]:  # noqa: ARG002 - its random numbers come in turn
        return self.learner.gradients(x, target, weight)


class Direct(Solo):
    """A network whose layers all have kernels: a stack of one."""

    def __init__(self, tools: Tools, part: Part, count: int = 1) -> None:
        super().__init__(tools, count)
        self.part = part
        self._stack: Gradients | None = None
        self._unread = torch.full((), torch.nan)
        self._onlookers: list[Microscope] = []

    def stack(self) -> Gradients:
        """The stack of this network alone."""
        if self._stack is None or not self._stack.holds([self.part]):
            # at first, and after its parameters have moved into a cohort's buffer
            self._stack = gradients_of([self.part])
        return self._stack

    def take(self, batches: Sequence[Batch], lrs: Sequence[float], done: int) -> None:
        """As every run does, where something is to be seen or the optimizer evaluates by itself; else straight on."""
        if self.watch.is_due(done + 1) or not isinstance(self.optimizer, FirstOrder):
            super().take(batches, lrs, done)
            return
        stack, learner, optimizer, tally = self.stack(), self.learner, self.optimizer, self.tally
        for number, ((x, target, weight), lr) in enumerate(zip(batches, lrs, strict=True), start=done + 1):
            optimizer.begin()
            weights = None if weight is None else weight.unsqueeze(0)
            outputs = stack.gradients(x.unsqueeze(0), target.unsqueeze(0), weights, (number,))
            learner.finish()
            optimizer.update(lr, number)
            tally.add(outputs[0])
            tally.add_norm(learner.gradient_norm)

    def outputs(self, rows: Rows, at_once: int) -> Tensor:
        stack = self.stack()
        with torch.no_grad():
            chunks = [stack.outputs(at_hand(x, rows.device).unsqueeze(0))[0] for x in torch.split(rows.x, at_once)]
        return chunks[0] if len(chunks) == 1 else torch.cat(chunks)

    def looked_at(self, evaluate: Evaluate, lr: float, number: int) -> Tensor:
        microscope = self.watch.microscope
        microscope.open(number)
        self._onlookers = [microscope]
        outputs = self.optimizer.step(evaluate, lr, number)
        self._onlookers = []
        microscope.close()
        return outputs

    def gradients(self, number: int, x: Tensor, target: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor]:
        stack = self.stack()
        weights = None if weight is None else weight.unsqueeze(0)
        outputs = stack.gradients(x.unsqueeze(0), target.unsqueeze(0), weights, (number,), self._onlookers)[0]
        for microscope in self._onlookers:
            microscope.gradients(self.learner.loss(outputs, target, weight))
        self.learner.finish()
        if not self.optimizer.reads_objective:
            return self._unread, outputs
        return self.learner.objective(self.learner.loss(outputs, target, weight)), outputs
