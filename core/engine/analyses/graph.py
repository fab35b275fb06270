"""The computational graph of a network, with values going forwards and gradients coming back.

In the notation of the chain rule, du = dL/dy * dy/du: the gradient of a node is the sum of `product` over the edges
that leave it.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
from torch import Tensor

from core.engine.analyses.context import Context, Part, part_of, refuse
from core.engine.analyses.hidden import layer_shapes
from core.engine.analyses.labels import labels_of
from core.engine.analyses.neurons import PASSES_THROUGH, neuron_graph
from core.engine.analyses.objective import check_cost
from core.engine.analyses.passes import Pass, both_ways
from core.engine.network import all_layers
from core.spec.analyses import Graph

_MOST_NEURONS = 200


def graph(request: Graph, context: Context) -> dict[str, Any]:
    """`nodes` and `edges`, a node for each value (`neurons`) or for each layer (`layers`), and the loss of the batch.

    Values are means over the batch, gradients those of its loss: without penalties, weighted as in training, in
    float64 and in evaluation mode.
    """
    count = count_neurons(context)
    if request.detail == "neurons" and count > _MOST_NEURONS:
        raise refuse(
            "/detail",
            "too_many_neurons",
            f"received neurons for a network of {count} values, expected at most {_MOST_NEURONS}; do take detail "
            "layers, or train a smaller network",
        )
    check_cost(context, 3 * request.rows, "/rows", "lower rows")
    detail = "layers" if request.detail == "layers" or count > _MOST_NEURONS else "neurons"
    part = part_of(context, request.split, request.rows, request.seed)
    run = both_ways(context, part)
    return {
        **part.facts(),
        "row": int(part.numbers[0]) if len(part) == 1 else None,
        "target": _target(context, part),
        "detail": detail,
        "loss": run.loss,
        "loss_type": context.model.spec.loss.type,
        **(neuron_graph(run, context) if detail == "neurons" else layer_graph(run, context)),
        "parameters": [_parameter(name, parameter) for name, parameter in run.network.named_parameters()],
    }


def count_neurons(context: Context) -> int:
    """Values of one row: inputs, and what goes out of every layer that changes them."""
    model = context.model
    layers = all_layers(model.spec.layered())
    shapes = layer_shapes(model.spec, model.input_shape)
    kinds = [getattr(layer, "type", "") for layer in layers]
    changed = [shape for kind, shape in zip(kinds, shapes, strict=True) if kind not in PASSES_THROUGH]
    return math.prod(model.input_shape) + sum(math.prod(shape) for shape in changed)


def layer_graph(run: Pass, context: Context) -> dict[str, Any]:
    """A node for the input, each layer and the loss, with how its values and their gradients are spread."""
    layers = all_layers(context.model.spec.layered())
    kinds = ["input", *(str(getattr(layer, "type", "")) for layer in layers)]
    nodes = [_layer_node(at, kind, values) for at, (kind, values) in enumerate(zip(kinds, run.values, strict=True))]
    loss = {"id": len(nodes), "layer": len(layers), "type": "loss", "label": "loss", "value": run.loss, "gradient": 1.0}
    edges = [{"from": a, "to": b, "gradient_norm": nodes[a]["gradient_norm"]} for a, b in pairwise(range(len(nodes)))]
    edges.append({"from": len(nodes) - 1, "to": len(nodes), "gradient_norm": nodes[-1]["gradient_norm"]})
    for node, module in zip(nodes[1:], run.network, strict=True):
        node["parameters"] = sum(parameter.numel() for parameter in module.parameters())
        slopes = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
        node["parameter_gradient_norm"] = math.sqrt(sum(float(slope.square().sum()) for slope in slopes))
    return {"nodes": [*nodes, loss], "edges": edges}


def _layer_node(at: int, kind: str, values: Tensor) -> dict[str, Any]:
    flat = values.detach()
    return {
        "id": at,
        "layer": at - 1,
        "type": kind,
        "label": kind if not at else f"{at - 1} {kind}",
        "shape": list(values.shape[1:]),
        "mean": float(flat.mean()),
        "deviation": float(flat.std(correction=0)),
        "least": float(flat.min()),
        "greatest": float(flat.max()),
        "gradient_norm": 0.0 if values.grad is None else float(values.grad.norm()),
    }


def _parameter(name: str, parameter: Tensor) -> dict[str, Any]:
    gradient = 0.0 if parameter.grad is None else float(parameter.grad.norm())
    shape, norm = list(parameter.shape), float(parameter.detach().norm())
    return {"name": name, "shape": shape, "norm": norm, "gradient_norm": gradient}


def _target(context: Context, part: Part) -> Any:
    """The class or the number of a single row; None for a batch and for a reconstruction."""
    labels = labels_of(context, part)
    if len(part) > 1 or context.model.spec.task == "reconstruction":
        return None
    if labels.index is not None and labels.classes is not None:
        return labels.classes[int(labels.index[0])]
    return None if labels.values is None else np.asarray(labels.values)[0]
