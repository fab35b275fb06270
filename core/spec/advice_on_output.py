"""Warnings about the end of a network: an output layer of the user's own before ours, and outputs that cannot reach."""

from __future__ import annotations

import math

from core.spec.dataset import Column
from core.spec.findings import Findings
from core.spec.job import JobSpec
from core.spec.roles import Roles
from core.spec.shapes import Body

_RANGES = {
    "relu": (0.0, math.inf),
    "sigmoid": (0.0, 1.0),
    "softplus": (0.0, math.inf),
    "tanh": (-1.0, 1.0),
    "hard_tanh": (-1.0, 1.0),
    "softsign": (-1.0, 1.0),
}
"""What an activation can give: lowest and highest."""
_BY_MEAN = ("standard", "robust")


def advise_on_output(spec: JobSpec, roles: Roles, body: Body, targets: list[Column], findings: Findings) -> None:
    """Add the warnings about what is done twice, and about what cannot be reached."""
    _advise_on_own_output(spec, roles, body, findings)
    if not body.layers:
        return
    last = body.layers[-1]
    if spec.network.head and roles.task == "classification" and last.bends():
        findings.warn(
            "activation_after_output",
            body.planned[-1].origin,
            f"the loss applies its own sigmoid or softmax to what {last.type} gives; end the head with linear",
        )
    elif spec.network.head is not None and roles.task != "classification":
        _advise_on_range(spec, roles, body, targets, findings)


def _advise_on_own_output(spec: JobSpec, roles: Roles, body: Body, findings: Findings) -> None:
    """A last layer as wide as the output and an activation behind it: what the head does once more."""
    hidden = list(zip(body.layers, body.planned, strict=True))[: body.head_at]
    if spec.network.head is not None or len(hidden) < 3 or not hidden[-1][0].bends() or hidden[-1][0].linear_map:
        return
    (layer, row), (activation, _) = hidden[-2:]
    earlier = any(each.linear_map for before, _ in hidden[:-2] for each in before.everything())
    if not earlier or not layer.linear_map or not row.origin.startswith("/network/layers/"):
        return
    width = math.prod(row.output_shape)
    # two values or more may be a narrow hidden layer, but for a sigmoid each that stands for a class
    alone = width == 1 and roles.task in ("classification", "regression")
    of_classes = activation.type == "sigmoid" and roles.classes is not None and width == len(roles.classes) > 2
    if alone or of_classes:
        what = "the loss applies its own sigmoid or softmax" if roles.classes else "it gives any number"
        findings.warn(
            "output_layer_twice",
            row.origin,
            f"layer {row.index} ({row.type}, {width} out) and {activation.type} look like an output layer, but the "
            f"output layer follows from the task by itself, comes behind them, and {what}; leave these two out",
        )


def _advise_on_range(spec: JobSpec, roles: Roles, body: Body, targets: list[Column], findings: Findings) -> None:
    """An activation at the end that cannot give what is asked for."""
    last = body.layers[-1]
    lowest, highest = _RANGES.get(str(last.type), (-math.inf, math.inf))
    if (lowest, highest) == (-math.inf, math.inf):
        return
    scale = spec.data.preprocess.target_scale if roles.task == "regression" else spec.data.preprocess.scale
    if scale in _BY_MEAN:
        reason = f"which {scale} scaling centres at 0 and spreads on both sides"
    elif scale == "none" and roles.task == "regression":
        beyond = [
            column
            for column in targets
            if column.min is not None and column.max is not None and (column.min < lowest or column.max > highest)
        ]
        if not beyond:
            return
        reason = f"which goes from {beyond[0].min:g} to {beyond[0].max:g}"
    else:
        return
    what = "the target" if roles.task == "regression" else "what is to be reproduced"
    reach = f"nothing below {lowest:g}" if math.isinf(highest) else f"only {lowest:g} to {highest:g}"
    findings.warn(
        "output_out_of_reach",
        body.planned[-1].origin,
        f"{last.type} at the end gives {reach}, but {what}, {reason}, lies beyond; end the head with linear",
    )
