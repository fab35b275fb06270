"""Several steps of a run as one function of tensors: what is compiled.

Nothing of the mathematics stands here: the stack of kernels, penalties, clipping and the optimizer's rule are those of
the direct path, applied to stand-ins for the run's own tensors. The learning rates and the numbers of the steps are
tensors as well, so that one function serves all steps.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from core.engine.flat import FlatParameters
from core.engine.learner import Learner
from core.engine.optimizers import FirstOrder, build_optimizer
from core.engine.rows import Batch
from core.engine.steps.stack import Part, Stack
from core.spec.optimizers import Optimizer as OptimizerSpec


class GroupOfSteps:
    """`count` steps of a run behind each other, for batches of the same size."""

    def __init__(self, part: Part, learner: Learner, optimizer: FirstOrder, spec: OptimizerSpec, count: int) -> None:
        self._part, self._learner, self._optimizer, self._spec = part, learner, optimizer, spec
        self.count = count
        self._dropouts = [index for index, layer in enumerate(part.network) if isinstance(layer, nn.Dropout)]
        self._slots = sorted(optimizer.tensors())

    def arguments(self, batches: Sequence[Batch], lrs: Sequence[float], done: int, masks: list[Tensor]) -> list[Tensor]:
        """The tensors that the steps behind the `done` before them read and, the first ones, write."""
        numbers = [*lrs, *range(done + 1, done + self.count + 1)]
        slots = self._optimizer.tensors()
        return [
            self._part.flat.values,
            self._part.flat.gradients,
            *(slots[name] for name in self._slots),
            *_moments(self._part.network),
            torch.tensor(numbers, dtype=torch.float64).view(2, self.count),
            *masks,
            *(tensor for batch in batches for tensor in batch if tensor is not None),
        ]

    def __call__(self, *arguments: Tensor) -> tuple[Tensor, ...]:
        """The outputs (N, O) of each step and, where they are clipped, the lengths () of their gradients."""
        given = iter(arguments)
        flat = copy.copy(self._part.flat)
        flat.values, flat.gradients = next(given), next(given)
        slots = {name: next(given) for name in self._slots}
        network = _with_moments(self._part.network, given)
        lrs, numbers = next(given).unbind()
        masks = {index: next(given) for index in self._dropouts}
        batches = list(given)

        stack = _Stack(replace(self._part, network=network, flat=flat), masks)
        learner = copy.copy(self._learner)
        learner.flat, learner.gradient_norm = flat, None
        optimizer = _standing_in(self._spec, flat, slots)
        outputs: list[Tensor] = []
        norms: list[Tensor] = []
        size = len(batches) // self.count
        with Traceable():
            for place in range(self.count):
                x, target, *weight = (tensor.unsqueeze(0) for tensor in batches[place * size : (place + 1) * size])
                optimizer.begin()
                stack.place = place
                outputs.append(stack.gradients(x, target, weight[0] if weight else None, ())[0])
                learner.finish()
                optimizer.update(lrs[place], numbers[place])
                if learner.gradient_norm is not None:
                    norms.append(learner.gradient_norm)
        for name, slot in optimizer.tensors().items():
            slots[name].copy_(slot)
        return (*outputs, *norms)


class _Stack(Stack):
    """A stack of one whose masks (count, N, F) by layer are given; `place` is that of the step under way."""

    def __init__(self, part: Part, masks: dict[int, Tensor]) -> None:
        self._given = masks
        self.place = 0
        super().__init__([part])

    def _drawing(self, layer: int) -> Callable[[Tensor], Tensor]:
        return lambda _: self._given[layer][self.place].unsqueeze(0)


class Traceable(TorchFunctionMode):
    """Within it the `alpha` of a sum and the `value` of a quotient may be tensors, which PyTorch would read; and a
    product that is asked of oneDNN is any product, whose code the compiler chooses.
    """

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        match func.__name__, kwargs:
            case "add_", {"alpha": Tensor() as alpha}:
                return args[0].add_(args[1] * alpha)
            case "addcdiv_", {"value": Tensor() as value}:
                return args[0].add_(args[1] / args[2] * value)
            case "_linear_pointwise", _:
                return functional.linear(*args[:3])
        return func(*args, **kwargs)


def widths_of_dropout(network: nn.Sequential, x: Tensor) -> dict[int, int]:
    """By index the features that come to each dropout layer, for samples x (N, *sample)."""
    found: dict[int, int] = {}
    with torch.no_grad():
        for index, layer in enumerate(copy.deepcopy(network).eval()):
            if isinstance(layer, nn.Dropout):
                found[index] = x.shape[-1]
            x = layer(x)
    return found


def _standing_in(spec: OptimizerSpec, flat: FlatParameters, slots: dict[str, Tensor]) -> FirstOrder:
    optimizer = build_optimizer(spec, flat)
    assert isinstance(optimizer, FirstOrder), "only rules of the first order are compiled"
    optimizer.load(slots, {})
    return optimizer


def _moments(network: nn.Sequential) -> list[Tensor]:
    """What norms keep over the batches: the tensors of a network that a step writes beside its parameters."""
    return [each for layer in network if isinstance(layer, nn.BatchNorm1d) for each in layer.buffers()]


def _with_moments(network: nn.Sequential, given: Iterator[Tensor]) -> nn.Sequential:
    """The network with the given tensors in place of `_moments`, its layers otherwise its own."""
    layers = []
    for layer in network:
        twin = copy.copy(layer)
        if isinstance(layer, nn.BatchNorm1d):
            # setting an attribute would write into the original's dictionary
            twin._buffers = {name: next(given) for name, _ in layer.named_buffers()}  # noqa: SLF001
        layers.append(twin)
    return nn.Sequential(*layers)
