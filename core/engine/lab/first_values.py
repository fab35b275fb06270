"""What becomes of a batch on its way through many layers, and of a gradient on its way back, before any training.

With variance Var(w) and a batch of independent values, a layer of n inputs multiplies the variance of activations by
about n Var(w) E[f'^2], and that of gradients likewise (Glorot and Bengio 2010, He et al. 2015): a factor other than 1
is a power of it after many layers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from core.engine.lab.names import combination_names
from core.engine.network import build_network
from core.engine.seeds import generator
from core.spec.activations import Sigmoid
from core.spec.lab import Combination, InitLab
from core.spec.layer_types.basic import Linear
from core.spec.network import LayeredNetwork

# slope below this share of the activation's greatest one, as `core.engine.activity` counts it
SATURATED = 0.1
Function = Callable[[Tensor], Tensor]


def first_values(request: InitLab) -> dict[str, Any]:
    """For each combination, lists of one number a layer, from the first to the last."""
    x, back = rows(request)
    names = combination_names(request.combinations)
    found = [
        {"name": name, **_measured(request, combination, x, back)}
        for name, combination in zip(names, request.combinations, strict=True)
    ]
    sigmoid = any(isinstance(each.activation, Sigmoid) for each in request.combinations)
    return {
        "depth": request.depth,
        "width": request.width,
        "batch": request.batch,
        "combinations": found,
        "sigmoid_bound": [0.25 ** (request.depth - layer) for layer in range(1, request.depth + 1)]
        if sigmoid
        else None,
        "non_finite": [each["name"] for each in found if not np.isfinite(each["activation_std"]).all()],
    }


def rows(request: InitLab) -> tuple[Tensor, Tensor]:
    """The batch that goes in and the gradient that comes back from the last layer, both (batch, width), float64."""
    shape = (request.batch, request.width)
    x, back = (
        torch.empty(shape, dtype=torch.float64).normal_(generator=generator(request.seed, purpose))
        for purpose in ("lab/rows", "lab/back")
    )
    return x * request.scale, back


def stack(request: InitLab, combination: Combination) -> list[tuple[nn.Linear, Function]]:
    """The layers with their first values, float64: the engine's own, as a job of that seed would begin."""
    linear = Linear(units=request.width, bias=False, init=combination.init)
    after = () if combination.activation is None else (combination.activation,)
    network = LayeredNetwork(layers=(linear, *after) * request.depth, head=())
    modules = list(build_network(network, (request.width,), seed=request.seed, precision="float64"))
    each = 1 + len(after)
    pairs: list[tuple[nn.Linear, Function]] = []
    for index in range(0, len(modules), each):
        first = modules[index]
        assert isinstance(first, nn.Linear)
        pairs.append((first, modules[index + 1] if after else torch.clone))
    return pairs


def _measured(request: InitLab, combination: Combination, x: Tensor, back: Tensor) -> dict[str, Any]:
    layers = stack(request, combination)
    before, after = [], []
    for linear, activation in layers:
        z = linear(x)
        x = activation(z)
        x.retain_grad()
        before.append(z.detach())
        after.append(x)
    torch.autograd.backward(x, back)
    gradients = [float(torch.linalg.vector_norm(_grad(each))) for each in after]
    greatest = float(_slope(layers[0][1], torch.linspace(-10, 10, 2001, dtype=torch.float64)).abs().max())
    slopes = [_slope(activation, z).abs() / greatest for (_, activation), z in zip(layers, before, strict=True)]
    return {
        "activation": combination.activation and combination.activation.model_dump(mode="json"),
        "init": combination.init.model_dump(mode="json"),
        "activation_mean": [float(each.detach().mean()) for each in after],
        "activation_std": [float(each.detach().std(correction=0)) for each in after],
        "gradient_norm": gradients,
        "gradient_ratio": [each / gradients[-1] for each in gradients],
        "weight_gradient_norm": [float(torch.linalg.vector_norm(_grad(linear.weight))) for linear, _ in layers],
        "saturated": [float((each < SATURATED).double().mean()) for each in slopes],
        "dead": [float((each == 0).all(0).double().mean()) for each in slopes],
    }


def _grad(tensor: Tensor) -> Tensor:
    assert tensor.grad is not None
    return tensor.grad


def _slope(function: Function, z: Tensor) -> Tensor:
    """f'(z), value by value."""
    z = z.clone().requires_grad_()
    (slope,) = torch.autograd.grad(function(z).sum(), z)
    return slope
