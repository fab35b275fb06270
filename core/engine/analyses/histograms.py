"""How weights, biases, gradients and activations of each layer are spread."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from core.engine.analyses.context import Context, part_of
from core.engine.analyses.objective import check_cost
from core.engine.analyses.passes import both_ways
from core.engine.network import all_layers
from core.spec.analyses import HistogramOf, Histograms


def histograms(request: Histograms, context: Context) -> dict[str, Any]:
    """`layers`, each with a histogram of what was asked for and it has; None otherwise.

    Weights are parameters of two axes or more, biases all others. Gradients are those of the batch's loss by all
    parameters of the layer, activations what goes out of it; in evaluation mode and without penalties.
    """
    check_cost(context, 3 * request.rows, "/rows", "lower rows")
    part = part_of(context, request.split, request.rows, request.seed)
    run = both_ways(context, part)
    layers = []
    for index, (layer, module) in enumerate(zip(all_layers(context.model.spec.layered()), run.network, strict=True)):
        parameters = list(module.parameters())
        values: dict[HistogramOf, list[Tensor]] = {
            "weights": [parameter for parameter in parameters if parameter.ndim >= 2],
            "biases": [parameter for parameter in parameters if parameter.ndim < 2],
            "gradients": [parameter.grad for parameter in parameters if parameter.grad is not None],
            "activations": [run.values[index + 1]],
        }
        asked = {str(name): histogram(values[name], request.bins) for name in request.of}
        layers.append({"layer": index, "type": str(getattr(layer, "type", "")), **asked})
    return {**part.facts(), "loss": run.loss, "of": list(request.of), "layers": layers}


def histogram(tensors: list[Tensor], bins: int) -> dict[str, Any] | None:
    """Counts over `bins` even bins from the least to the greatest finite value; None of nothing."""
    values = np.concatenate([tensor.detach().double().reshape(-1).numpy() for tensor in tensors] or [np.empty(0)])
    if not len(values):
        return None
    finite = values[np.isfinite(values)]
    if not len(finite):
        return {"values": len(values), "not_finite": len(values), "edges": [], "counts": []}
    counts, edges = np.histogram(finite, bins)
    return {
        "values": len(values),
        "not_finite": len(values) - len(finite),
        "mean": finite.mean(),
        "deviation": finite.std(),
        "norm": float(np.sqrt(np.square(finite).sum())),
        "zeros": float((finite == 0).mean()),
        "edges": edges,
        "counts": counts,
    }
