"""What several runs have come to (steps, ends of windows, evaluations), done at once where their networks are alike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import TypeVar

import torch
from torch import Tensor

from core.engine.assembly import Assembly
from core.engine.evaluate import figures
from core.engine.learner import Learner
from core.engine.microscope import Microscope
from core.engine.optimizers import FirstOrder, LookAhead
from core.engine.outputs import at_hand
from core.engine.steps.due import Closing, Due, Evaluation, Steps
from core.engine.steps.gathering import gathered, shift_of
from core.engine.steps.graphed import Gradients, gradients_of
from core.engine.steps.solo import Direct
from core.engine.steps.stack import Part, likeness
from core.engine.tally import close_windows

D = TypeVar("D", bound=Due)


class Together:
    """Does the work of many runs; each comes to the bits that it would come to alone."""

    def __init__(self) -> None:
        self._kinds: dict[int, Hashable] = {}
        self._stacks: dict[Hashable, Gradients] = {}

    def take(self, dues: Sequence[Due]) -> None:
        """Does work that can be done together (`goes_together`), at once where networks and layouts are alike."""
        torch.set_num_threads(1)
        for steps in self._alike([due for due in dues if isinstance(due, Steps)], _layout):
            _take(steps, self._stack(steps))
        for closings in self._alike([due for due in dues if isinstance(due, Closing)], _answers_layout):
            _close(closings)
        for evaluations in self._alike([due for due in dues if isinstance(due, Evaluation)], lambda due: id(due.rows)):
            self._evaluate(evaluations)

    def forget(self, a: Assembly | None) -> None:
        """Gives up what is kept of a run that has ended; the others are stacked anew without it."""
        self._kinds.pop(id(a), None)
        self._stacks.clear()

    def _alike(self, dues: Iterable[D], layout: Callable[[D], Hashable]) -> Iterator[list[D]]:
        """Work of several runs that are alike; that of one that has no company is done here."""
        groups: dict[Hashable, list[D]] = defaultdict(list)
        for due in dues:
            groups[self._kind(due.a), layout(due)].append(due)
        for group in groups.values():
            if len(group) > 1:
                yield group
            else:
                group[0].take()

    def _kind(self, a: Assembly) -> Hashable:
        if id(a) not in self._kinds:
            self._kinds[id(a)] = likeness(_part(a))
        return self._kinds[id(a)]

    def _stack(self, group: Sequence[Due]) -> Gradients:
        parts, kind = [_part(due.a) for due in group], self._kind(group[0].a)
        stack = self._stacks.get(kind)
        if stack is None or not stack.holds(parts):
            self._stacks[kind] = stack = gradients_of(parts)
        return stack

    def _evaluate(self, group: Sequence[Evaluation]) -> None:
        stack = self._stacks.get(self._kind(group[0].a))
        if stack is None or not stack.holds([_part(due.a) for due in group]):
            # they have come here by steps of other company, which a new stack would break up
            for due in group:
                due.take()
            return
        rows = group[0].rows
        x = at_hand(rows.x, rows.device)
        with torch.no_grad():
            outputs = stack.outputs(x.expand(len(group), *x.shape))
        told = figures([due.a.evaluator for due in group], outputs, rows, group[0].split)
        for due, values in zip(group, told, strict=True):
            due.values = values


def goes_together(due: Due) -> bool:
    """Whether work can be done with other runs': with several threads sums depend on how they are dealt out; and what
    does not go through a network at once would take the memory of many."""
    a = due.a
    if isinstance(due, Evaluation) and len(due.rows) > a.evaluator.chunk:
        return False
    return isinstance(a.solo, Direct) and isinstance(a.optimizer, FirstOrder) and a.environment["threads"] == 1


def _layout(due: Steps) -> Hashable:
    """How the rows of the steps lie in memory."""
    edges = due.edges()
    sizes = tuple(end - start for start, end in pairwise(edges))
    return sizes, shift_of(due.a.train.x, edges[0]), due.a.train.loss_weight is None


def _answers_layout(due: Closing) -> Hashable:
    """How many rows the window has, and whether they have weights."""
    edges = due.rows.window.edges
    return edges[-1] - edges[0], due.a.train.loss_weight is None


def _part(a: Assembly) -> Part:
    assert isinstance(a.solo, Direct)
    return a.solo.part


def _optimizer(a: Assembly) -> FirstOrder:
    assert isinstance(a.optimizer, FirstOrder)
    return a.optimizer


def _take(group: Sequence[Steps], stack: Gradients) -> None:
    """Each step for all runs before the next one."""
    runs = [due.a for due in group]
    learners, optimizers = [a.learner for a in runs], [_optimizer(a) for a in runs]
    looking_ahead = [optimizer for optimizer in optimizers if isinstance(optimizer, LookAhead)]
    finishing = [learner for learner in learners if learner.has_penalty or learner.has_clip]
    clipping = [a for a in runs if a.learner.has_clip]
    rows, where = [a.train for a in runs], torch.stack([due.numbers() for due in group])
    edges = group[0].edges()
    numbers = [a.step for a in runs]
    looks = _opened(runs)
    outputs: list[Tensor] = []
    for (start, end), lrs in zip(pairwise(edges), zip(*(due.lrs for due in group), strict=True), strict=True):
        numbers = [number + 1 for number in numbers]
        x, target, weight = gathered(rows, where[:, start - edges[0] : end - edges[0]], start)
        for ahead in looking_ahead:
            ahead.begin()
        outputs.append(stack.gradients(x, target, weight, numbers, looks))
        if looks:
            _show_gradients(looks, learners, outputs[-1], target, weight)
        for learner in finishing:
            learner.finish()
        for optimizer, lr, number in zip(optimizers, lrs, numbers, strict=True):
            optimizer.update(lr, number)
        for a in clipping:
            a.tally.add_norm(a.learner.gradient_norm)
    for a, own, number in zip(runs, torch.cat(outputs, 1).unbind(), numbers, strict=True):
        a.tally.add(own)
        a.step = number
    for microscope in looks:
        if microscope is not None:
            microscope.close()


def _close(group: Sequence[Closing]) -> None:
    """The figures of the window of each run."""
    targets, weights = zip(*(due.rows.answers() for due in group), strict=True)
    weight = None if weights[0] is None else torch.stack(weights)
    close_windows([due.a.tally for due in group], torch.stack(targets), weight)


def _opened(runs: Sequence[Assembly]) -> list[Microscope | None]:
    """The microscopes of the runs whose next step is to be looked at, which each takes by itself; empty without any."""
    looks = [a.watch.microscope if a.watch.is_due(a.step + 1) else None for a in runs]
    for a, microscope in zip(runs, looks, strict=True):
        if microscope is not None:
            microscope.open(a.step + 1)
    return looks if any(looks) else []


def _show_gradients(
    looks: Sequence[Microscope | None],
    learners: Sequence[Learner],
    outputs: Tensor,
    target: Tensor,
    weight: Tensor | None,
) -> None:
    """Lets those who look on see the loss and the gradients of the step."""
    weights = [None] * len(looks) if weight is None else weight.unbind()
    for microscope, learner, *batch in zip(looks, learners, outputs, target, weights, strict=True):
        if microscope is not None:
            microscope.gradients(learner.loss(*batch))
