"""The shape, parameters and operations of every layer of a network, head included, in plain integers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from core.spec.base import Shape
from core.spec.dataset import Category
from core.spec.expansion import body_of, code_layer, ending, with_embedding
from core.spec.families import with_defaults
from core.spec.findings import Findings
from core.spec.inits import Torch
from core.spec.layer_base import LayerBase, ShapeError, Signal
from core.spec.layers import Layer
from core.spec.limits import Limits
from core.spec.losses import Loss
from core.spec.network import Network
from core.spec.network_base import Placed
from core.spec.roles import Roles


@dataclass(frozen=True, slots=True)
class PlannedLayer:
    """One layer with its sizes; `path` is its JSON pointer in the resolved spec, `origin` in what was sent.

    `index` counts within the list that holds the layer; `stored_values` are the numbers of one sample that training
    keeps for the way back.
    """

    index: int
    type: str
    output_shape: Shape
    parameters: int
    path: str
    origin: str
    flops: int
    stored_values: int
    children: tuple[PlannedLayer, ...] = ()
    """What a block holds, its projection and activation too; counted in its own figures."""


@dataclass(frozen=True, slots=True)
class Body:
    """The layers of a network with their inits, and what is known of their sizes; the head is `layers[head_at:]`."""

    layers: tuple[Layer, ...]
    head_at: int
    planned: tuple[PlannedLayer, ...]
    input_shape: Shape | None
    output_shape: Shape | None
    encoding: int | None = None
    """Which layer gives a sample's code; None where there is no layer before the head."""

    @property
    def parameters(self) -> int:
        return sum(layer.parameters for layer in self.planned)

    @property
    def flops(self) -> int:
        return sum(layer.flops for layer in self.planned)

    @property
    def stored_values(self) -> int:
        """Numbers of one sample that training keeps for the way back."""
        return sum(layer.stored_values for layer in self.planned)

    @property
    def depth(self) -> int:
        """Layers, those within blocks counted and the blocks not."""
        return sum(1 for _ in _rows(self.planned))


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
    default = network.init or Torch()
    wanted = wanted_output(roles, loss)
    reproduced = math.prod(roles.input_shape) if roles.task == "reconstruction" and roles.input_shape else None

    def complete(layers: Sequence[Placed]) -> list[Placed]:
        return [replace(each, layer=with_defaults(each.layer, default, reproduced)) for each in layers]

    hidden = complete(with_embedding(body_of(network, roles.input_shape, findings), roles, findings))
    walk = _Walk(findings, limits)
    signal = walk.through(
        hidden, None if roles.input_shape is None else Signal(roles.input_shape, whole=True, codes=roles.codes)
    )
    encoding = None
    if len(walk.planned) == len(hidden):
        sizes = [(row.parameters, math.prod(row.output_shape)) for row in walk.planned]
        encoding = code_layer(hidden, sizes, reproduces=reproduced is not None)
    shape = None if signal is None else signal.shape
    head = complete(ending(network, shape, wanted, reproduces=roles.task == "reconstruction"))
    if findings.is_tainted("/network/layers"):
        signal = None  # what is left of the layers says nothing about what reaches the head
    end = walk.through(head, signal, first=len(hidden), prefix="/network/head")
    output = None if end is None else end.shape
    if network.head is not None:
        _check_head(output, wanted, roles, findings)
    layers = tuple(walk.settled)
    _check_size(walk.planned, [*_rows(walk.planned)], limits, findings)
    count = sum(1 for layer in layers for _ in layer.everything())
    if count > limits.layers:
        findings.exceeded("/network/layers", "too_many_layers", f"{count} layers", limits.layers, do="remove some")
    return Body(layers, len(hidden), tuple(walk.planned), roles.input_shape, output, encoding)


class _Walk:
    """Goes through layers in order; behind a fault the shape is unknown until a layer fixes it."""

    def __init__(self, findings: Findings, limits: Limits) -> None:
        self.planned: list[PlannedLayer] = []
        self.settled: list[Layer] = []
        self._findings = findings
        self._limits = limits

    def through(
        self, layers: Sequence[Placed], signal: Signal | None, *, first: int = 0, prefix: str = "/network/layers"
    ) -> Signal | None:
        for index, placed in enumerate(layers):
            self._check_widths(placed)
            if signal is None:
                shape = placed.layer.shape_of_any()
                signal = None if shape is None else Signal(shape)
                self.settled.append(placed.layer)
                continue
            faults: list[ShapeError] = []
            layer, after = placed.layer.enter(signal, faults.append)
            self.settled.append(layer)
            for error in faults:
                self._findings.fault(_where(placed.pointer, error.field), error.code, error.detail)
            if not faults and after is not None:
                row = _row(
                    layer, placed.pointer, signal.shape, after.shape, index=first + index, path=f"{prefix}/{index}"
                )
                self.planned.append(row)
            signal = after
        return signal

    def _check_widths(self, placed: Placed) -> None:
        for path, layer in (("", placed.layer), *deep(placed.layer)):
            for name in layer.widths:
                value = getattr(layer, name)
                width = math.prod(value) if isinstance(value, tuple) else value
                if width > self._limits.units:
                    where = _where(placed.pointer, f"{path}/{name}".lstrip("/"))
                    what = f"{width} {name}"
                    self._findings.exceeded(where, "too_many_units", what, self._limits.units, do="lower it")


def _where(pointer: str, field: str) -> str:
    """The pointer of a layer's field; what a family or the task brings is at fault where it stands."""
    return f"{pointer}/{field}" if field and pointer.startswith(("/network/layers/", "/network/head/")) else pointer


def deep(layer: LayerBase, above: str = "") -> Iterator[tuple[str, LayerBase]]:
    """All layers within a block with their paths from it."""
    for path, inner in layer.inner():
        yield above + path, inner
        yield from deep(inner, f"{above}{path}/")


def _row(layer: LayerBase, origin: str, shape: Shape, after: Shape, *, index: int, path: str) -> PlannedLayer:
    """A layer with its sizes, and those of what it holds."""
    children: list[PlannedLayer] = []
    for part in layer.parts(shape):
        number = part.path.rpartition("/")[2]
        children.append(
            _row(
                part.layer,
                _where(origin, part.path),
                part.shape,
                part.layer.output_shape(part.shape),
                index=int(number) if number.isdigit() else len(children),
                path=f"{path}/{part.path}",
            )
        )
    return PlannedLayer(
        index=index,
        type=str(getattr(layer, "type", "")),
        output_shape=after,
        parameters=layer.parameter_count(shape),
        path=path,
        origin=origin,
        flops=layer.flops(shape),
        stored_values=layer.stored_values(shape),
        children=tuple(children),
    )


def _rows(planned: Sequence[PlannedLayer]) -> Iterator[PlannedLayer]:
    """All rows that hold no others."""
    for row in planned:
        yield from _rows(row.children) if row.children else (row,)


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


def _check_size(
    planned: Sequence[PlannedLayer], leaves: Sequence[PlannedLayer], limits: Limits, findings: Findings
) -> None:
    total = sum(layer.parameters for layer in planned)
    if total > limits.parameters:
        largest = max(leaves, key=lambda layer: layer.parameters)
        findings.exceeded(
            largest.origin,
            "too_many_parameters",
            f"{total} parameters, {largest.parameters} of them in layer {largest.index} ({largest.type})",
            limits.parameters,
            do="make this layer or the one before it narrower",
        )


def collapses(body: Body) -> list[tuple[PlannedLayer, PlannedLayer]]:
    """Runs of linear maps with nothing that bends between them: the first and the last of each, within blocks too.

    A block all of whose layers are linear is one linear map itself.
    """
    return _collapses(list(zip(body.layers, body.planned, strict=False)))


def _collapses(layers: Sequence[tuple[LayerBase, PlannedLayer]]) -> list[tuple[PlannedLayer, PlannedLayer]]:
    runs: list[tuple[PlannedLayer, PlannedLayer]] = []
    first: PlannedLayer | None = None
    last: PlannedLayer | None = None
    for layer, planned in layers:
        for branch in _branches(layer, planned):
            runs += _collapses(branch)
        if layer.bends():
            if first and last:
                runs.append((first, last))
            first = last = None
        elif any(each.linear_map for each in layer.everything()):
            first, last = (planned, None) if first is None else (first, planned)
    return [*runs, (first, last)] if first and last else runs


def _branches(layer: LayerBase, planned: PlannedLayer) -> Iterator[list[tuple[LayerBase, PlannedLayer]]]:
    """The lists of layers that a block holds, with their rows."""
    rows = {row.path.removeprefix(f"{planned.path}/"): row for row in planned.children}
    lists: dict[str, list[tuple[LayerBase, PlannedLayer]]] = {}
    for path, inner in layer.inner():
        lists.setdefault(path.rpartition("/")[0], []).append((inner, rows[path]))
    yield from lists.values()
