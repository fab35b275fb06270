"""A node for every value of a small network, an edge for every way that one depends on another.

Legend: R rows, I inputs and O outputs of a layer.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any, get_args

import torch
from torch import Tensor, nn

from core.engine.analyses.context import Context
from core.engine.analyses.passes import Pass
from core.engine.network import all_layers
from core.spec.activations import ActivationLayer

PASSES_THROUGH = frozenset({"flatten", "unflatten", "dropout", "noise"})
"""Layers whose values in evaluation mode are those that come in: no node of their own."""
_VALUE_BY_VALUE = frozenset(str(model.model_fields["type"].default) for model in get_args(ActivationLayer))


def neuron_graph(run: Pass, context: Context) -> dict[str, Any]:
    """`nodes` with value (mean over the rows) and gradient (of the batch's loss), and `edges`.

    An edge has what the chain rule needs: `local`, dy/du (mean over the rows), and `product`, dL/dy * dy/du (sum over
    the rows); where it is a weight, that `weight` and its `gradient`. A node that a bias is added to has it and its
    gradient.
    """
    layers = all_layers(context.model.spec.layered())
    nodes = [_node(at, -1, "input", run.values[0], at) for at in range(_width(run.values[0]))]
    edges: list[dict[str, Any]] = []
    current = list(range(len(nodes)))
    for index, (layer, module) in enumerate(zip(layers, run.network, strict=True)):
        kind = str(getattr(layer, "type", ""))
        if kind in PASSES_THROUGH:
            continue
        out = run.values[index + 1]
        here = list(range(len(nodes), len(nodes) + _width(out)))
        nodes += [_node(node, index, kind, out, at) for at, node in enumerate(here)]
        edges += _edges(module, kind, run.values[index], out, (current, here))
        if isinstance(module, nn.Linear):
            _add_weights(module, edges[-len(here) * len(current) :], nodes[-len(here) :])
        current = here
    _name(nodes, current, context)
    loss = {"id": len(nodes), "layer": len(layers), "type": "loss", "label": "loss", "value": run.loss, "gradient": 1.0}
    slopes = _flat(_grad(run.values[-1])).sum(0)
    edges += [_edge(node, len(nodes), slopes[at], slopes[at]) for at, node in enumerate(current)]
    return {"nodes": [*nodes, loss], "edges": edges}


def jacobian(module: nn.Module, x: Tensor) -> Tensor:
    """(R, O, I) derivatives of a layer's outputs by its inputs, each row for itself."""
    x = x.detach().requires_grad_(True)
    with torch.enable_grad():
        out = _flat(module(x))
        rows = [_slope(out[:, at].sum(), x) for at in range(out.shape[1])]
    return torch.stack([_flat(row) for row in rows], 1)


def _slope(y: Tensor, x: Tensor) -> Tensor:
    """dy/dx, zeros where y does not depend on x by any derivative: an embedding looks numbers up."""
    (slope,) = torch.autograd.grad(y, x, retain_graph=True, allow_unused=True)
    return torch.zeros_like(x) if slope is None else slope


def _edges(
    module: nn.Module, kind: str, x: Tensor, out: Tensor, ids: tuple[list[int], list[int]]
) -> list[dict[str, Any]]:
    local = jacobian(module, x)
    product = _flat(_grad(out)).unsqueeze(2) * local
    means, sums = local.mean(0), product.sum(0)
    sources, targets = ids
    pairs: Iterable[tuple[int, int]] = itertools.product(range(len(targets)), range(len(sources)))
    if kind in _VALUE_BY_VALUE:
        pairs = [(at, at) for at in range(len(targets))]
    elif not isinstance(module, nn.Linear):
        pairs = [(o, i) for o, i in pairs if bool(local[:, o, i].any())]
    return [_edge(sources[i], targets[o], means[o, i], sums[o, i]) for o, i in pairs]


def _add_weights(module: nn.Linear, edges: list[dict[str, Any]], nodes: list[dict[str, Any]]) -> None:
    """The weight of every edge of a dense layer and the bias of every node, with their gradients."""
    weights, slopes = module.weight.detach().reshape(-1), _grad(module.weight).reshape(-1)
    for edge, weight, slope in zip(edges, weights.tolist(), slopes.tolist(), strict=True):
        edge |= {"weight": weight, "gradient": slope}
    if module.bias is not None:
        for node, bias, slope in zip(nodes, module.bias.tolist(), _grad(module.bias).tolist(), strict=True):
            node |= {"bias": bias, "bias_gradient": slope}


def _node(node: int, layer: int, kind: str, values: Tensor, at: int) -> dict[str, Any]:
    value, gradient = _flat(values.detach())[:, at].mean(), _flat(_grad(values))[:, at].sum()
    name = f"x{at + 1}" if layer < 0 else f"{layer}.{at + 1}"
    return {"id": node, "layer": layer, "type": kind, "label": name, "value": float(value), "gradient": float(gradient)}


def _edge(source: int, target: int, local: Tensor, product: Tensor) -> dict[str, Any]:
    return {"from": source, "to": target, "local": float(local), "product": float(product)}


def _name(nodes: list[dict[str, Any]], outputs: list[int], context: Context) -> None:
    """Inputs by their features, outputs by their classes or targets, where there is a name for each."""
    inputs = [node for node in nodes if node["layer"] < 0]
    classes = [str(name) for name in context.model.classes or ()]
    names = classes[1:] if len(classes) == 2 and len(outputs) == 1 else classes or context.spec.data.targets
    for these, called in ((inputs, context.model.preparation.feature_names), ([nodes[at] for at in outputs], names)):
        if len(these) == len(called):
            for node, name in zip(these, called, strict=True):
                node["label"] = name


def _grad(tensor: Tensor) -> Tensor:
    return torch.zeros_like(tensor) if tensor.grad is None else tensor.grad


def _flat(tensor: Tensor) -> Tensor:
    return tensor.reshape(len(tensor), -1)


def _width(tensor: Tensor) -> int:
    return _flat(tensor).shape[1]
