"""A step of M small networks at once: by Netmill's stack and by `torch.func.vmap`, in turn in one process.

    .venv/bin/python -m benchmarks.stacks

Microseconds for each network's gradients, 64-32-10 in batches of 32, one thread, the least of some rounds.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import grad, vmap
from torch.nn import functional

from core.engine.flat import FlatParameters
from core.engine.losses import build_loss
from core.engine.network import build_network
from core.engine.steps.stack import Part, Stack
from core.spec.losses import CrossEntropy
from core.spec.network import LayeredNetwork

FEATURES, HIDDEN, CLASSES, ROWS = 64, 32, 10, 32
SIZES = (1, 2, 8, 16, 64)
_ROUNDS, _STEPS = 7, 50


def stacked(networks: int, x: Tensor, y: Tensor) -> Callable[[], object]:
    """The gradients of so many networks as the direct path has them."""
    layers = [{"type": "linear", "units": HIDDEN}, {"type": "relu"}, {"type": "linear", "units": CLASSES}]
    spec = LayeredNetwork.model_validate({"layers": layers})
    loss = build_loss(CrossEntropy(), "classification", CLASSES, CLASSES, torch.float32)
    nets = [build_network(spec, (FEATURES,), seed=seed, precision="float32") for seed in range(networks)]
    stack = Stack([Part(net, FlatParameters(net), loss, 0, ROWS) for net in nets])
    return lambda: stack.gradients(x, y, None, (1,) * networks)


def mapped(networks: int, x: Tensor, y: Tensor) -> Callable[[], object]:
    """The same by vmap over the gradient of one network's loss."""
    shapes = ((HIDDEN, FEATURES), (HIDDEN,), (CLASSES, HIDDEN), (CLASSES,))
    parameters = tuple(torch.rand(networks, *shape) / 8 for shape in shapes)

    def loss(p: tuple[Tensor, ...], x: Tensor, y: Tensor) -> Tensor:
        return functional.cross_entropy(torch.relu(x @ p[0].T + p[1]) @ p[2].T + p[3], y)

    gradients = vmap(grad(loss))
    return lambda: gradients(parameters, x, y)


def least_us(steps: list[Callable[[], object]]) -> list[float]:
    """The least time of one call of each, in turn."""
    least = [float("inf")] * len(steps)
    for _ in range(_ROUNDS):
        for place, step in enumerate(steps):
            begin = time.perf_counter()
            for _ in range(_STEPS):
                step()
            least[place] = min(least[place], (time.perf_counter() - begin) / _STEPS * 1e6)
    return least


def main() -> int:
    """Prints a line for each size."""
    torch.set_num_threads(1)
    random = torch.Generator().manual_seed(0)
    for networks in SIZES:
        x = torch.randn(networks, ROWS, FEATURES, generator=random)
        y = torch.randint(0, CLASSES, (networks, ROWS), generator=random)
        stack, by_vmap = least_us([stacked(networks, x, y), mapped(networks, x, y)])
        print(f"{networks:3} networks: stack {stack / networks:6.1f} us each, vmap {by_vmap / networks:6.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
