"""The shape, parameters and operations of every layer of a network, head included, in plain integers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from core.spec.base import Shape
from core.spec.dataset import Category
from core.spec.families import Placed, expand, with_inits
from core.spec.findings import Findings
from core.spec.inits import Torch
from core.spec.layer_base import ShapeError
from core.spec.layer_types.basic import Flatten, Linear, Unflatten
from core.spec.layers import Layer
from core.spec.limits import Limits
from core.spec.losses import Loss
from core.spec.network import Network
from core.spec.roles import Roles


@dataclass(frozen=True, slots=True)
class PlannedLayer:
    """One layer with its sizes; `path` is its JSON pointer in the resolved spec, `origin` in what was sent."""

    index: int
    type: str
    output_shape: Shape
    parameters: int
    path: str
    origin: str
    flops: int


@dataclass(frozen=True, slots=True)
class Body:
    """The layers of a network with their inits, and what is known of their sizes; the head is `layers[head_at:]`."""

    layers: tuple[Layer, ...]
    head_at: int
    planned: tuple[PlannedLayer, ...]
    input_shape: Shape | None
    output_shape: Shape | None

    @property
    def parameters(self) -> int:
        return sum(layer.parameters for layer in self.planned)

    @property
    def flops(self) -> int:
        return sum(layer.flops for layer in self.planned)


def outputs_for(loss: Loss, classes: Sequence[Category]) -> int:
    """Logits of a classifier: one for two classes, unless the loss is the cross entropy of two."""
    return 1 if len(classes) == 2 and loss.type != "cross_entropy" else len(classes)


def wanted_output(roles: Roles, loss: Loss) -> Shape | None:
    """The shape that the task asks of the network, None when the data do not say."""
    if roles.task == "classification":
        return (outputs_for(loss, roles.classes),) if roles.classes else None
    if roles.task == "regression":
        return (roles.outputs,)
    return roles.input_shape if roles.task == "reconstruction" else None


def infer(network: Network, roles: Roles, loss: Loss, limits: Limits, findings: Findings) -> Body:
    """Every layer's sizes; faults of shape and size go to `findings`."""
    placed = expand(network, roles.input_shape)
    default = network.init or Torch()
    wanted = wanted_output(roles, loss)
    hidden = [Placed(with_inits(each.layer, default), each.pointer) for each in placed]
    walk = _Walk(findings, limits)
    shape = walk.through(hidden, roles.input_shape)
    if network.head is not None:
        head = [Placed(layer, f"/network/head/{index}") for index, layer in enumerate(network.head)]
    else:
        head = [Placed(layer, "/network/head") for layer in _head(shape, wanted, roles.task == "reconstruction")]
    head = [Placed(with_inits(each.layer, default), each.pointer) for each in head]
    if findings.is_tainted("/network/layers"):
        shape = None  # what is left of the layers says nothing about what reaches the head
    output = walk.through(head, shape, first=len(hidden), prefix="/network/head")
    if network.head is not None:
        _check_head(output, wanted, roles, findings)
    layers = tuple(each.layer for each in (*hidden, *head))
    _check_size(walk.planned, len(layers), limits, findings)
    return Body(layers, len(hidden), tuple(walk.planned), roles.input_shape, output)


class _Walk:
    """Goes through layers in order; behind a fault the shape is unknown until a layer fixes it."""

    def __init__(self, findings: Findings, limits: Limits) -> None:
        self.planned: list[PlannedLayer] = []
        self._findings = findings
        self._limits = limits

    def through(
        self, layers: Sequence[Placed], shape: Shape | None, *, first: int = 0, prefix: str = "/network/layers"
    ) -> Shape | None:
        for index, placed in enumerate(layers):
            path = f"{prefix}/{index}"
            self._check_units(placed)
            if shape is None:
                shape = placed.layer.shape_of_any()
                continue
            try:
                after = placed.layer.output_shape(shape)
            except ShapeError as error:
                where = f"{placed.pointer}/{error.field}" if error.field else placed.pointer
                self._findings.fault(where, error.code, error.detail)
                shape = placed.layer.shape_of_any()
                continue
            self.planned.append(
                PlannedLayer(
                    index=first + index,
                    type=placed.layer.type,
                    output_shape=after,
                    parameters=placed.layer.parameter_count(shape),
                    path=path,
                    origin=placed.pointer,
                    flops=placed.layer.flops(shape),
                )
            )
            shape = after
        return shape

    def _check_units(self, placed: Placed) -> None:
        for name in placed.layer.widths:
            value = getattr(placed.layer, name)
            width = math.prod(value) if isinstance(value, tuple) else value
            if width > self._limits.units:
                # what a family or the task brings is at fault where it stands, it has no such field
                written = placed.pointer.startswith(("/network/layers/", "/network/head/"))
                where = f"{placed.pointer}/{name}" if written else placed.pointer
                self._findings.exceeded(where, "too_many_units", f"{width} {name}", self._limits.units, do="lower it")


def _head(shape: Shape | None, wanted: Shape | None, reconstruction: bool) -> list[Layer]:
    """The output layer that the task asks for: linear, with the axes taken away before and given back after it."""
    if shape is None or wanted is None:
        return []
    layers: list[Layer] = [Flatten()] if len(shape) > 1 else []
    layers.append(Linear(units=math.prod(wanted)))
    return [*layers, Unflatten(shape=wanted)] if reconstruction and len(wanted) > 1 else layers


def _check_head(output: Shape | None, wanted: Shape | None, roles: Roles, findings: Findings) -> None:
    if output is None or wanted is None or output == wanted:
        return
    of_what = f"{len(roles.classes)} classes" if roles.classes else f"the task {roles.task}"
    findings.fault(
        "/network/head",
        "wrong_output",
        f"received a head that gives {list(output)}, expected {list(wanted)} for {of_what}; do end it with "
        f"{math.prod(wanted)} units, or set it to null",
        needs=(
            "/network/head",
            "/task",
            "/data/target",
            *(["/loss"] if roles.classes and len(roles.classes) == 2 else []),
        ),
    )


def _check_size(planned: Sequence[PlannedLayer], count: int, limits: Limits, findings: Findings) -> None:
    if count > limits.layers:
        findings.exceeded("/network/layers", "too_many_layers", f"{count} layers", limits.layers, do="remove some")
    total = sum(layer.parameters for layer in planned)
    if total > limits.parameters:
        largest = max(planned, key=lambda layer: layer.parameters)
        findings.exceeded(
            largest.origin,
            "too_many_parameters",
            f"{total} parameters, {largest.parameters} of them in layer {largest.index} ({largest.type})",
            limits.parameters,
            do="make this layer or the one before it narrower",
        )


def collapses(body: Body) -> list[tuple[PlannedLayer, PlannedLayer]]:
    """Runs of linear layers with nothing that bends between them: the first and the last of each."""
    runs: list[tuple[PlannedLayer, PlannedLayer]] = []
    first: PlannedLayer | None = None
    last: PlannedLayer | None = None
    for layer, planned in zip(body.layers, body.planned, strict=False):
        if layer.nonlinear:
            if first and last:
                runs.append((first, last))
            first = last = None
        elif layer.linear_map:
            first, last = (planned, None) if first is None else (first, planned)
    return [*runs, (first, last)] if first and last else runs
