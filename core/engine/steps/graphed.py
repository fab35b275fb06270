"""The direct step on a GPU as one call: its kernels are recorded once as a CUDA graph and then played again.

A small network's step is some dozen kernels of a few microseconds each, and starting them one by one takes longer than
they run. A graph plays the same kernels on the same memory, so what differs from step to step is copied there first:
rows, targets, weights and masks. Updates stay outside, for learning rates change. Never recorded on a CPU.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from core.engine.steps.stack import Onlookers, Part, Stack

log = logging.getLogger(__name__)

Compute = Callable[[], Tensor]
Record = Callable[[Compute], tuple[Callable[[], None], Tensor]]
"""Takes what is to be recorded, which it may run any number of times; gives what plays it, and where the outputs then
stand."""

# of PyTorch's own example: libraries choose their algorithms and workspaces at first
_WARM_UP = 3


class Gradients(Protocol):
    """What `Stack` offers to those who take steps."""

    def holds(self, parts: Sequence[Part]) -> bool: ...

    def outputs(self, x: Tensor) -> Tensor: ...

    def gradients(
        self, x: Tensor, target: Tensor, weight: Tensor | None, steps: Sequence[int], onlookers: Onlookers = ()
    ) -> Tensor: ...


def gradients_of(parts: Sequence[Part]) -> Gradients:
    """A stack of these networks, played from graphs where they stand on a GPU."""
    stack = Stack(parts)
    return Graphed(stack) if parts[0].flat.values.device.type == "cuda" else stack


def recorded_on_gpu(compute: Compute) -> tuple[Callable[[], None], Tensor]:
    """`compute` as a CUDA graph, after it has run on the stream that it is recorded on."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch has no type for it
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UP):
            compute()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    # thread_local: a thread that copies a checkpoint to the host meanwhile is no business of this one
    with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
        outputs = compute()
    return graph.replay, outputs


@dataclass(frozen=True, slots=True)
class _Tape:
    """A recorded step for batches of one size."""

    play: Callable[[], None]
    inputs: tuple[Tensor | None, ...]
    """x, target and weight, where the recorded kernels read them."""
    outputs: Tensor


class Graphed:
    """A stack whose gradients are recorded for each size of a batch; where that fails they are computed as ever."""

    def __init__(self, stack: Stack, record: Record = recorded_on_gpu) -> None:
        self._stack, self._record = stack, record
        self._tapes: dict[tuple[torch.Size, bool], _Tape] = {}
        self._can_record = True
        self._hold_masks(True)

    def holds(self, parts: Sequence[Part]) -> bool:
        return self._stack.holds(parts)

    def outputs(self, x: Tensor) -> Tensor:
        """As `Stack.outputs`."""
        return self._stack.outputs(x)

    def gradients(
        self, x: Tensor, target: Tensor, weight: Tensor | None, steps: Sequence[int], onlookers: Onlookers = ()
    ) -> Tensor:
        """As `Stack.gradients`; a step that somebody looks on at is not played, for a graph shows nothing."""
        if onlookers:
            return self._stack.gradients(x, target, weight, steps, onlookers)
        kind = x.shape, weight is None
        if self._can_record and kind not in self._tapes:
            self._try_to_record(x, target, weight, steps)
        if not self._can_record:
            return self._stack.gradients(x, target, weight, steps)
        tape = self._tapes[kind]
        for room, value in zip(tape.inputs, (x, target, weight), strict=True):
            if room is not None and value is not None:
                room.copy_(value)
        for masks in self._stack.masks:
            masks.renew(steps, x.shape[1])
        tape.play()
        # the next step writes over them, and they are read when the window is over
        return tape.outputs.clone()

    def _try_to_record(self, x: Tensor, target: Tensor, weight: Tensor | None, steps: Sequence[int]) -> None:
        inputs = tuple(
            None if each is None else each.clone(memory_format=torch.contiguous_format) for each in (x, target, weight)
        )
        own_x, own_target, own_weight = inputs
        assert own_x is not None
        assert own_target is not None
        # running the step to record it moves what norms keep; gradients are written anew by every step
        buffers = self._stack.buffers()
        before = [buffer.clone() for buffer in buffers]
        try:
            play, outputs = self._record(lambda: self._stack.gradients(own_x, own_target, own_weight, steps))
            self._tapes[x.shape, weight is None] = _Tape(play, inputs, outputs)
        except RuntimeError as fault:
            log.warning("the step is not recorded as a CUDA graph, which is slower and else the same: %s", fault)
            self._can_record = False
            self._tapes.clear()
            self._hold_masks(False)
        for buffer, value in zip(buffers, before, strict=True):
            buffer.copy_(value)

    def _hold_masks(self, held: bool) -> None:
        for masks in self._stack.masks:
            masks.hold(held)
