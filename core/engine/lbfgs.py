"""L-BFGS: `torch.optim.LBFGS` on the flat buffer, with a state that can be written down."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from core.engine.flat import FlatParameters
from core.spec import optimizers as spec

# of one line search, PyTorch's own default
_EVALUATIONS = 25
# written at the start of every iteration before it is read
_SCRATCH = "al"


class _WithoutDynamo(torch.optim.LBFGS):
    """PyTorch's own, built without importing torch._dynamo: that takes a second, and nothing of it is used."""

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        super().add_param_group.__wrapped__(self, param_group)  # type: ignore[attr-defined]  # functools.wraps


class LBFGS:
    """Several evaluations a step; remembers the last gradients."""

    reads_objective = True

    def __init__(self, optimizer: spec.LBFGS, flat: FlatParameters) -> None:
        self._parameter = nn.Parameter(flat.values)
        self._parameter.grad = flat.gradients
        self._inner = _WithoutDynamo(
            [self._parameter],
            lr=optimizer.lr,
            max_iter=optimizer.max_iter,
            # PyTorch allows 5/4 of max_iter, the first one counted: of one iteration none is left to search with, and
            # the weights never move
            max_eval=1 + _EVALUATIONS if optimizer.max_iter == 1 else None,
            history_size=optimizer.history_size,
            line_search_fn=None if optimizer.line_search == "none" else optimizer.line_search,
        )

    def step(self, evaluate: Callable[[], tuple[Tensor, Tensor]], lr: float, k: int) -> Tensor:  # noqa: ARG002 - it counts by itself
        if lr == 0:
            # where a schedule ends at zero nothing moves, and PyTorch's line search would divide by it
            return evaluate()[1]
        first: list[Tensor] = []

        def closure() -> float:
            objective, outputs = evaluate()
            if not first:
                first.append(outputs)
            return float(objective)

        self._inner.param_groups[0]["lr"] = lr
        self._inner.step(closure)  # type: ignore[no-untyped-call]  # torch has no type for it
        return first[0]

    def tensors(self) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for name, value in self._state().items():
            if isinstance(value, Tensor):
                found[name] = value
            elif isinstance(value, list) and name != _SCRATCH:
                found.update({f"{name}.{index}": item for index, item in enumerate(value) if isinstance(item, Tensor)})
        return found

    def numbers(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in self._state().items():
            if isinstance(value, list) and name != _SCRATCH:
                found[name] = [None if isinstance(item, Tensor) else item for item in value]
            elif not isinstance(value, (Tensor, list)):
                found[name] = value
        return found

    def load(self, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
        state = self._state()
        state.clear()
        for name, value in numbers.items():
            state[name] = value
            if isinstance(value, list):
                state[name] = [tensors.get(f"{name}.{index}", item) for index, item in enumerate(value)]
        state.update({name: tensor for name, tensor in tensors.items() if "." not in name})

    def _state(self) -> dict[str, Any]:
        state: dict[str, Any] = self._inner.state[self._parameter]
        return state
