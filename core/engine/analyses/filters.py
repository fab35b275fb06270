"""The weights of one layer, as images where its inputs are images."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from torch import Tensor, nn

from core.engine.analyses.context import Context, refuse
from core.engine.analyses.hidden import check_layer, layer_shapes
from core.engine.network import all_layers
from core.engine.safe import short
from core.spec.analyses import Filters

_MOST_VALUES = 200_000


def filters(request: Filters, context: Context) -> dict[str, Any]:
    """`filters`, each the weights of one output, and the norm of each; `shape` is that of one filter.

    A dense layer that images reach (flat, but for flatten) has filters of the image's shape (C, H, W), a convolution
    (inputs, kernel...), any other the inputs' shape. The first `most` of `of_filters`, fewer of very large ones.
    """
    index = _first_with_weights(context) if request.layer is None else check_layer(request.layer, context)
    weight = _weight_of(context.model.network[index])
    if weight is None:
        raise refuse(
            "/layer",
            "no_weights",
            f"received layer {index}, which has no weights of two axes, expected one of "
            f"{', '.join(map(str, _with_weights(context))) or 'none'}; do choose one",
        )
    shape = _filter_shape(context, index, tuple(weight.shape[1:]))
    count = min(request.most, len(weight), max(1, _MOST_VALUES // max(1, math.prod(shape))))
    flat = weight.detach().double().reshape(len(weight), -1)
    layer = all_layers(context.model.spec.layered())[index]
    return {
        "layer": index,
        "layer_type": str(getattr(layer, "type", "")),
        "shape": shape,
        "is_image": len(shape) == 3,
        "input_names": _input_names(context, index, shape),
        "of_filters": len(weight),
        "filters": short(flat[:count].numpy(), 4).reshape(count, *shape),
        "norms": short(flat.norm(dim=1)[:count].numpy()),
        "largest": float(np.abs(flat[:count].numpy()).max(initial=0.0)),
    }


def _weight_of(module: nn.Module) -> Tensor | None:
    """The first parameter of two axes or more."""
    return next((parameter for parameter in module.parameters() if parameter.ndim >= 2), None)


def _with_weights(context: Context) -> list[int]:
    return [index for index, module in enumerate(context.model.network) if _weight_of(module) is not None]


def _first_with_weights(context: Context) -> int:
    found = _with_weights(context)
    if not found:
        raise refuse("/type", "no_weights", "received a network without weights, expected one with a layer that learns")
    return found[0]


def _filter_shape(context: Context, index: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The image's shape for a dense layer on a flat image; else that of one output's weights."""
    before = all_layers(context.model.spec.layered())[:index]
    image = context.model.input_shape
    untouched = all(getattr(layer, "type", "") in ("flatten", "dropout", "noise") for layer in before)
    if len(shape) == 1 and len(image) == 3 and untouched and math.prod(image) == shape[0]:
        return image
    return shape


def _input_names(context: Context, index: int, shape: tuple[int, ...]) -> list[str] | None:
    """Names of the inputs of a dense layer that a table's features reach as they are."""
    names = list(context.model.preparation.feature_names)
    before = layer_shapes(context.model.spec, context.model.input_shape)[:index]
    is_first = len(shape) == 1 and len(names) == shape[0] and all(each == shape for each in before)
    return names if is_first and index <= 1 else None
