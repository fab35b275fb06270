"""What a network consists of: the layers before the output, the output layers, and the one that gives the code."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from core.spec.base import Shape
from core.spec.findings import Findings
from core.spec.layer_base import ShapeError
from core.spec.network import LayeredNetwork, Network
from core.spec.network_base import Placed, place
from core.spec.roles import Roles


def body_of(network: Network, shape: Shape | None, findings: Findings) -> list[Placed]:
    """The layers before the output; none when the family cannot take the data's shape, which is a fault."""
    if isinstance(network, LayeredNetwork) and (network.encoding or 0) >= max(len(network.layers), 1):
        findings.fault(
            "/network/encoding",
            "out_of_range",
            f"received {network.encoding}, expected the index of one of the {len(network.layers)} layers; do lower it",
            needs=("/network/layers",),
        )
    try:
        return network.body(shape)
    except ShapeError as error:
        findings.fault(f"/network/{error.field}", error.code, error.detail, needs=("/data",))
        return []


def with_embedding(body: list[Placed], roles: Roles, findings: Findings) -> list[Placed]:
    """The layers with one in front that embeds the codes of categories, if the data give any and none is there."""
    if not roles.codes:
        return body
    where = "/data/preprocess/categorical"
    if roles.task == "reconstruction":
        detail = "received embedding for the task reconstruction, which cannot reproduce codes, expected one_hot"
        findings.fault(where, "wrong_task", f"{detail}; do set it to one_hot", needs=("/task", "/data/target"))
    elif roles.input_shape is not None and len(roles.input_shape) != 1:
        detail = f"received embedding for samples of shape {list(roles.input_shape)}, expected one axis of features"
        findings.fault(where, "needs_flat", f"{detail}; do set it to one_hot, or input_shape to null")
    if body and body[0].layer.type == "column_embedding":
        return body
    return [replace(place("column_embedding", ""), pointer=where), *body]


def ending(network: Network, shape: Shape | None, wanted: Shape | None, *, reproduces: bool) -> list[Placed]:
    """The output layers: those that were sent, the family's own, or those that the task asks for.

    These are linear, with the axes taken away before and, where inputs are reproduced, given back after it. `shape` is
    what reaches them, `wanted` what the task asks for; where one is not known there are none.
    """
    if network.head is not None:
        return [Placed(layer, f"/network/head/{index}") for index, layer in enumerate(network.head)]
    if shape is None or wanted is None:
        return []
    try:
        own = network.ending(wanted)
    except ShapeError:
        return []  # the body has told it
    if own is not None:
        return own
    layers = [place("flatten", "head")] if len(shape) > 1 else []
    layers.append(place("linear", "head", units=math.prod(wanted)))
    return [*layers, place("unflatten", "head", shape=wanted)] if reproduces and len(wanted) > 1 else layers


def code_layer(hidden: Sequence[Placed], sizes: Sequence[tuple[int, int]], *, reproduces: bool) -> int | None:
    """Which layer gives a sample's code: the one that is marked; a latent one; the narrowest when inputs are
    reproduced, of equal ones the last; else the last. None without layers.

    `sizes` are each layer's (parameters, values out). What comes before the first layer that learns is the input in
    another shape, and no code.
    """
    marked = [index for index, each in enumerate(hidden) if each.is_code]
    marked += [index for index, each in enumerate(hidden) if each.layer.type == "latent"]
    if marked or not hidden:
        return marked[0] if marked else None
    first = next((index for index, (parameters, _) in enumerate(sizes) if parameters), None)
    if not reproduces or first is None:
        return len(hidden) - 1
    narrowest = min(values for _, values in sizes[first:])
    return max(index for index, (_, values) in enumerate(sizes) if index >= first and values == narrowest)
