"""Activations and their derivatives over a range: what a neuron gives, and what it lets through on the way back."""

from __future__ import annotations

from typing import Any

import torch

from core.engine.lab.names import activation_names
from core.engine.network import build_network
from core.spec.activations import ActivationLayer
from core.spec.lab import ActivationLab
from core.spec.network import LayeredNetwork


def activations(request: ActivationLab) -> dict[str, Any]:
    """For each activation lists of `points` numbers over the same `z`, in double precision."""
    z = torch.linspace(request.low, request.high, request.points, dtype=torch.float64)
    names = activation_names(request.activations)
    found = [{"name": name, **_over(each, z)} for name, each in zip(names, request.activations, strict=True)]
    return {"z": z.tolist(), "activations": found}


def _over(activation: ActivationLayer, z: torch.Tensor) -> dict[str, Any]:
    """The values and, by autograd as in training, the derivatives; the greatest is the most that can be passed on."""
    network = build_network(LayeredNetwork(layers=(activation,), head=()), (len(z),), seed=0, precision="float64")
    given = z.clone().requires_grad_()
    values = network(given[None])[0]
    (slopes,) = torch.autograd.grad(values.sum(), given)
    return {
        "values": values.detach().tolist(),
        "derivatives": slopes.tolist(),
        "greatest_derivative": float(slopes.abs().max()),
    }
