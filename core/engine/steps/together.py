"""Steps that several runs have come to, taken at once where their networks are alike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from typing import Literal

import torch
from torch import Tensor

from core.engine.assembly import Assembly
from core.engine.microscope import Microscope
from core.engine.optimizers import FirstOrder
from core.engine.steps.due import Due
from core.engine.steps.graphed import Gradients, gradients_of
from core.engine.steps.kernels import LINE, LINE_BYTES
from core.engine.steps.solo import Direct
from core.engine.steps.stack import Part, likeness

AT_ONCE = 16
"""Steps that a member of a cohort takes before it is asked again: what asking costs is shared among them."""


class Together:
    """Takes the steps of many runs; each comes to the bits that it would come to alone."""

    def __init__(self) -> None:
        self._kinds: dict[int, Hashable] = {}
        self._stacks: dict[Hashable, Gradients] = {}

    def take(self, dues: Iterable[Due]) -> None:
        """Takes steps that can be (`goes_together`), at once where networks and the sizes of the batches are alike."""
        torch.set_num_threads(1)
        groups: dict[tuple[Hashable, Hashable], list[Due]] = defaultdict(list)
        for due in dues:
            groups[self._kind(due.a), _layout(due)].append(due)
        for (kind, _), group in groups.items():
            if len(group) == 1:
                group[0].take()
            else:
                _take(group, self._stack(kind, group))

    def forget(self, a: Assembly | None) -> None:
        """Gives up what is kept of a run that has ended; the others are stacked anew without it."""
        self._kinds.pop(id(a), None)
        self._stacks.clear()

    def _kind(self, a: Assembly) -> Hashable:
        if id(a) not in self._kinds:
            self._kinds[id(a)] = likeness(_part(a))
        return self._kinds[id(a)]

    def _stack(self, kind: Hashable, group: Sequence[Due]) -> Gradients:
        parts = [_part(due.a) for due in group]
        stack = self._stacks.get(kind)
        if stack is None or not stack.holds(parts):
            self._stacks[kind] = stack = gradients_of(parts)
        return stack


def goes_together(due: Due) -> bool:
    """Whether steps can be taken with other runs': with several threads sums depend on how they are dealt out."""
    a = due.a
    return isinstance(a.solo, Direct) and isinstance(a.optimizer, FirstOrder) and a.environment["threads"] == 1


def _layout(due: Due) -> Hashable:
    """How the rows of the steps lie in memory."""
    first, _, weight = due.batches[0]
    return tuple(x.shape[0] for x, _, _ in due.batches), _shift(first), weight is None


def _part(a: Assembly) -> Part:
    assert isinstance(a.solo, Direct)
    return a.solo.part


def _optimizer(a: Assembly) -> FirstOrder:
    assert isinstance(a.optimizer, FirstOrder)
    return a.optimizer


def _take(group: Sequence[Due], stack: Gradients) -> None:
    """Each step for all runs before the next one."""
    optimizers = [_optimizer(due.a) for due in group]
    numbers = [due.a.step for due in group]
    x, target = _gathered(group, 0), _gathered(group, 1)
    weight = None if group[0].batches[0][2] is None else _gathered(group, 2)
    looks = _opened(group)
    outputs: list[Tensor] = []
    start = 0
    for place, (rows, _, _) in enumerate(group[0].batches):
        here = slice(start, start + rows.shape[0])
        numbers = [number + 1 for number in numbers]
        for optimizer in optimizers:
            optimizer.begin()
        weights = None if weight is None else weight[:, here]
        outputs.append(stack.gradients(x[:, here], target[:, here], weights, numbers, looks))
        _show_gradients(looks, group, outputs[-1])
        for due, optimizer, number in zip(group, optimizers, numbers, strict=True):
            due.a.learner.finish()
            optimizer.update(due.lrs[place], number)
            due.a.tally.add_norm(due.a.learner.gradient_norm)
        start = here.stop
    for due, own, number in zip(group, torch.cat(outputs, 1).unbind(), numbers, strict=True):
        due.a.tally.add(own)
        due.a.step = number
    for microscope in looks:
        if microscope is not None:
            microscope.close()


def _opened(group: Sequence[Due]) -> list[Microscope | None]:
    """The microscopes of the runs whose next step is to be looked at, which each comes to alone; empty without any."""
    looks = [due.a.watch.microscope if due.a.watch.is_due(due.a.step + 1) else None for due in group]
    for due, microscope in zip(group, looks, strict=True):
        if microscope is not None:
            microscope.open(due.a.step + 1)
    return looks if any(looks) else []


def _show_gradients(looks: Sequence[Microscope | None], group: Sequence[Due], outputs: Tensor) -> None:
    """Lets those who look on see the loss and the gradients of the step, whose outputs are (M, N, O)."""
    for microscope, due, own in zip(looks, group, outputs.unbind() if looks else (), strict=False):
        if microscope is not None:
            _, target, weight = due.batches[0]
            microscope.gradients(due.a.learner.loss(own, target, weight))


def _gathered(group: Sequence[Due], side: Literal[0, 1, 2]) -> Tensor:
    """(M, rows of all steps, ...) of x, target or weight; each run's rows begin in their line of memory as alone."""
    spans = [_span([part for batch in due.batches if (part := batch[side]) is not None]) for due in group]
    first = spans[0]
    shift, size = _shift(first), first.numel()
    stride = ((shift + size) // LINE + 1) * LINE
    room = first.new_empty(len(spans), stride)[:, shift : shift + size].view(len(spans), *first.shape)
    return torch.stack(spans, out=room)


def _span(batches: Sequence[Tensor]) -> Tensor:
    """The rows of batches that follow each other in one tensor, which is how windows are cut."""
    first = batches[0]
    return first.as_strided((sum(batch.shape[0] for batch in batches), *first.shape[1:]), first.stride())


def _shift(rows: Tensor) -> int:
    """Values between the begin of a line of memory and that of the rows."""
    return rows.data_ptr() % LINE_BYTES // rows.element_size()
