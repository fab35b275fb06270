"""Permutation importance: how much worse a metric becomes when one feature is shuffled; Breiman 2001."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from core.engine.analyses.context import Context, Part, part_of, refuse, rng
from core.engine.analyses.objective import affordable_rows
from core.engine.analyses.units import groups
from core.engine.evaluate import Evaluator
from core.spec.analyses import Features
from core.spec.base import Shape
from core.spec.metrics import improves_upwards

_MOST_PASSES = 20_000_000
_MOST_GROUPS = 2000
_USUAL_ROWS = 2000
_PATCHES = 8


@dataclass(frozen=True, slots=True)
class Block:
    """Inputs that are shuffled together: `where` is an index into one sample; `place` where it is in the picture."""

    name: str
    where: tuple[slice | int, ...]
    place: tuple[int, ...] | None = None


def features(request: Features, context: Context) -> dict[str, Any]:
    """`features` by falling importance: the mean and deviation over the repeats of how much worse the metric became.

    All inputs of a feature are shuffled together among the rows (the categories of one column, a channel, a patch, a
    block of time); a row keeps its weight. `grid` is the shape in which patches lie. A feature that another one tells
    as well seems unimportant: the network reads it there.
    """
    by, blocks, grid = blocks_of(request, context)
    rows = affordable_rows(context, request.rows, _USUAL_ROWS, len(blocks) * request.repeats)
    part = part_of(context, request.split, rows, request.seed)
    passes = len(blocks) * request.repeats * len(part)
    if passes > _MOST_PASSES or len(blocks) > _MOST_GROUPS:
        raise refuse(
            "/rows",
            "too_many_features",
            f"received {len(blocks)} features shuffled {request.repeats} times over {len(part)} rows, expected at most "
            f"{_MOST_PASSES:,} rows in all and {_MOST_GROUPS} features; do lower rows or repeats, or enlarge blocks",
        )
    metric = request.metric or _main_metric(context)
    score = _figure_of(metric, context, part)
    base = score(part.rows.x)
    sign = 1.0 if improves_upwards(metric) else -1.0
    found: list[dict[str, Any]] = []
    for index, block in enumerate(blocks):
        drops = [
            sign * (base - score(shuffled(part.rows.x, block, request.seed, (index, repeat))))
            for repeat in range(request.repeats)
        ]
        mean = float(np.mean(drops))
        found.append(
            {"feature": block.name, "importance": mean, "deviation": float(np.std(drops)), "place": block.place}
        )
    found.sort(key=lambda each: -each["importance"] if np.isfinite(each["importance"]) else np.inf)
    return {
        **part.facts(),
        "metric": metric,
        "baseline": base,
        "repeats": request.repeats,
        "by": by,
        "grid": grid,
        "features": found,
    }


def shuffled(x: Tensor, block: Block, seed: int, stream: tuple[int, int]) -> Tensor:
    """A copy in which the block comes from another row each."""
    order = rng(seed, f"shuffle/{stream[0]}/{stream[1]}").permutation(len(x))
    where = (slice(None), *block.where)
    changed = x.clone()
    changed[where] = x[torch.from_numpy(order)][where]
    return changed


def blocks_of(request: Features, context: Context) -> tuple[str, list[Block], tuple[int, ...] | None]:
    """What is shuffled together: how it is called, the blocks, and the shape in which they lie."""
    shape, names = context.model.input_shape, groups(context.model.preparation)
    by = request.by if request.by != "auto" else _usual(shape)
    if by == "feature" and (len(shape) == 1 or (names and len(shape) == 3)):
        return by, _of_table(shape, context), None
    if by == "feature" and len(shape) == 2:
        known = [group.name for group in names] if names and names[-1].last == shape[1] == len(names) else None
        return by, [Block(known[at] if known else str(at), (slice(None), at)) for at in range(shape[1])], None
    if by == "time" and len(shape) == 2:
        edges = np.linspace(0, shape[0], min(request.blocks, shape[0]) + 1).round().astype(int).tolist()
        spans = list(itertools.pairwise(edges))
        blocks = [Block(f"{a} to {b - 1}", (slice(a, b),), (at,)) for at, (a, b) in enumerate(spans)]
        return by, blocks, (len(blocks),)
    if by == "channel" and len(shape) >= 3:
        return by, [Block(f"channel {at}", (at,)) for at in range(shape[0])], None
    if by == "patch" and len(shape) == 3:
        return by, *_patches(shape, request.patch or -(-max(shape[1:]) // _PATCHES))
    fitting = {1: "feature", 2: "feature or time", 3: "channel or patch"}.get(len(shape), "channel")
    raise refuse(
        "/by",
        "wrong_shape",
        f"received {by} for inputs of shape {list(shape)}, expected {fitting}; do choose it or auto",
    )


def _usual(shape: Shape) -> str:
    if len(shape) < 3:
        return "feature"
    return "patch" if len(shape) == 3 and shape[0] == 1 else "channel"


def _of_table(shape: Shape, context: Context) -> list[Block]:
    """Features of a flat row, one-hot ones together; of a table that is seen as images its columns."""
    named = groups(context.model.preparation)
    if len(shape) == 1:
        flat = [(group.name, slice(group.first, group.last)) for group in named]
        flat = flat or [(str(at), slice(at, at + 1)) for at in range(shape[0])]
        return [Block(name, (where,)) for name, where in flat]
    places = np.arange(int(np.prod(shape))).reshape(shape)
    return [
        Block(group.name, tuple(int(each[0]) for each in np.nonzero(places == group.first)))
        for group in named
        if group.last == group.first + 1
    ]


def _patches(shape: Shape, side: int) -> tuple[list[Block], tuple[int, ...]]:
    _, height, width = shape
    tops, lefts = range(0, height, side), range(0, width, side)
    blocks = [
        Block(
            f"rows {top}-{min(top + side, height) - 1}, columns {left}-{min(left + side, width) - 1}",
            (slice(None), slice(top, top + side), slice(left, left + side)),
            (top // side, left // side),
        )
        for top in tops
        for left in lefts
    ]
    return blocks, (len(tops), len(lefts))


def _main_metric(context: Context) -> str:
    task = context.model.spec.task
    if task == "classification":
        return "auc" if len(context.model.classes or ()) == 2 else "accuracy"
    return "r2" if task == "regression" else "mse"


def _figure_of(metric: str, context: Context, part: Part) -> Callable[[Tensor], float]:
    """The metric as the run reports it, of the part's rows with other inputs."""
    model = context.model
    evaluator = Evaluator(model.spec, part.loss, model.preparation, (metric,), 2048, width=part.target_width)
    return lambda x: evaluator(model.network, replace(part.rows, x=x), part.split)[f"{part.split}.{metric}"]
