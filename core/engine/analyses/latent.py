"""Where rows lie in a hidden layer, and what a grid over the encoding decodes to."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from core.data.original import original
from core.engine.analyses.context import Context, part_of
from core.engine.analyses.hidden import check_layer, encode, encoding_layer, layer_shapes
from core.engine.analyses.labels import labels_of
from core.engine.analyses.pca import principal_components
from core.engine.outputs import forward, numbers
from core.engine.safe import short
from core.spec.analyses import Latent

Floats = NDArray[np.float64]
_MOST_PIXELS = 200_000


def latent(request: Latent, context: Context) -> dict[str, Any]:
    """`points` (x, y and what is known of each row) of the outputs of `layer`, `size` values a row.

    More than two values are seen along their principal components, whose share of the variance is told. Of an
    encoding of two values that images were made from, `decoded` has the images of a grid.
    """
    layer = encoding_layer(context) if request.layer is None else check_layer(request.layer, context)
    part = part_of(context, request.split, request.rows, request.seed)
    codes = encode(context, part.rows.x, layer)
    size = codes.shape[1]
    explained = None
    if request.method == "first" or (request.method == "auto" and size <= 2):
        places = codes[:, :2]
    else:
        found = principal_components(codes, min(2, size))
        places, explained = found.coordinates, found.variance_explained
    labels = labels_of(context, part)
    return {
        **part.facts(),
        "layer": layer,
        "layer_type": _type_of(context, layer),
        "size": size,
        "method": "first" if explained is None else "principal",
        "variance_explained": explained,
        "label": labels.name,
        "classes": labels.classes,
        "points": {
            "x": short(places[:, 0]),
            "y": short(places[:, 1]) if places.shape[1] > 1 else None,
            "class": labels.index,
            "value": None if labels.values is None else short(labels.values),
        },
        "decoded": _decoded(request, context, layer, codes) if size == 2 and request.decode else None,
    }


def _type_of(context: Context, layer: int) -> str:
    network = context.model.spec.layered()
    return str(getattr((*network.layers, *(network.head or ()))[layer], "type", ""))


def _decoded(request: Latent, context: Context, layer: int, codes: Floats) -> dict[str, Any] | None:
    """Images (rows by columns, top row first) over the middle nine tenths of the codes; None where nothing is decoded
    to an image.
    """
    shape = context.model.input_shape
    is_image = len(shape) == 3 and shape[0] in (1, 3)
    if context.model.spec.task != "reconstruction" or not is_image:
        return None
    grid = max(2, min(request.grid, math.isqrt(_MOST_PIXELS // math.prod(shape))))
    low, high = np.quantile(codes, (0.05, 0.95), axis=0)
    x, y = np.linspace(low, high, grid).T
    places = np.array([(a, b) for b in y[::-1] for a in x])
    inner = layer_shapes(context.model.spec, shape)[layer]
    z = torch.from_numpy(places.reshape(-1, *inner)).to(next(context.model.network.parameters()).dtype)
    outputs = numbers(forward(context.model.network[layer + 1 :], z), context.model.spec.loss)
    images = original(outputs.reshape(len(places), *shape), context.model.preparation)
    return {"x": short(x), "y": short(y[::-1]), "images": short(images, 4).reshape(grid, grid, *shape)}
