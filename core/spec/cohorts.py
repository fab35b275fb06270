"""Which jobs may train together, and how many of them are worth it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Self, get_args

from core.spec.activations import ActivationLayer
from core.spec.job import JobSpec
from core.spec.layers import Layer
from core.spec.optimizers import LBFGS, Optimizer
from core.spec.plan import Plan

# Raised when the meaning of a key changes: keys stand in the database, and older workers read them.
_VERSION = 1
_NORMS = ("batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm")
_ACTIVATIONS = tuple(str(model.model_fields["type"].default) for model in get_args(ActivationLayer))
_TYPES = frozenset({"linear", "flatten", "dropout", *_NORMS, *_ACTIVATIONS})
# Fields of layers that each member has for itself: where its weights begin, and how much it drops.
_OF_EACH = {"linear": {"init", "bias_init"}, "dropout": {"p"}, "prelu": {"slope"}}
# Arithmetic of one step of all members: about a millisecond of one core. What a step costs beside it is a tenth of
# that, so more company would save nothing and keep others waiting.
_OPERATIONS_AT_ONCE = 4e7
OVERTAKING_S = 60.0
"""Seconds of work, by estimate, that may go before an older job of another kind."""


def cohort_key(spec: JobSpec, *, project: str, dataset: str) -> str | None:
    """Equal for the jobs whose steps can be computed together, which all depends on structure; None: this one cannot.

    `spec` is resolved, `dataset` the id of an uploaded data set or the name of a built-in one. Layers, data, loss,
    metrics, batches, precision and the kind of the optimizer are equal. First values, seed, dropout's p, the numbers of
    the optimizer, schedule, penalties, limits of the gradient, epochs, early stopping and checkpoints are each job's
    own. Jobs of different projects share no process.
    """
    layers = (*spec.layered().layers, *(spec.layered().head or ()))
    if not _may_ride(spec) or any(layer.type not in _TYPES for layer in layers):
        return None
    training = spec.training
    alike = {
        "version": _VERSION,
        "project": project,
        "data": {**spec.data.model_dump(mode="json"), "dataset": dataset},
        "task": spec.task,
        "layers": [_structure(layer) for layer in layers],
        "loss": spec.loss.model_dump(mode="json"),
        "metrics": list(spec.metrics or ()),
        "optimizer": _switches(spec.optimizer),
        "batch_size": training.batch_size,
        "shuffle": training.shuffle,
        "clips": [training.clip_grad_norm is not None, training.clip_grad_value is not None],
        "device": training.device,
        "precision": training.precision,
        "tf32": training.tf32,
        "every_steps": spec.monitor.every_steps,
    }
    return hashlib.sha256(json.dumps(alike, sort_keys=True).encode()).hexdigest()


def _may_ride(spec: JobSpec) -> bool:
    """Nothing in it needs a process of its own: a limit on its time would be used up by the others' steps, and
    while it compiles they would wait."""
    return not (
        isinstance(spec.optimizer, LBFGS)
        or spec.data.split.folds is not None
        or spec.baselines
        or spec.monitor.layers
        or spec.training.device == "cuda"
        or spec.training.time_limit_s is not None
        or spec.training.is_mixed
        or spec.training.compile == "always"
    )


def _structure(layer: Layer) -> dict[str, Any]:
    own = set(_OF_EACH.get(layer.type, ()))
    if getattr(layer, "learnable", False):
        own.add("beta")
    return layer.model_dump(mode="json", exclude=own)


def _switches(optimizer: Optimizer) -> dict[str, Any]:
    """The optimizer without its numbers, but for whether it has a momentum: that is one more buffer."""
    fields = dict(optimizer)
    switches = {name: value for name, value in fields.items() if isinstance(value, str | bool | int)}
    return {**switches, "momentum": bool(fields.get("momentum"))}


@dataclass(frozen=True, slots=True)
class Load:
    """What one job asks of a runner, by estimate: bytes at once, operations of a step, seconds alone."""

    memory_bytes: int
    step_operations: int
    seconds: float

    @classmethod
    def of(cls, plan: Plan) -> Self:
        """Forward and backward are three forward passes."""
        rows, wanted = max(1, plan.split_sizes["train"]), plan.spec.training.batch_size
        batch = rows if wanted == "full" else min(wanted, rows)
        return cls(plan.memory_bytes, 3 * plan.flops_per_sample * batch, plan.time_estimate_s)

    @classmethod
    def read(cls, told: dict[str, Any]) -> Self:
        """What `to_json` gave."""
        return cls(told["memory_bytes"], told["step_operations"], told["seconds"])

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def most_together(self, most: int, memory_bytes: int) -> int:
        """How many jobs like this one train together, itself among them: as many as fit into the memory of a runner
        and gain by it, `most` at the most."""
        fitting = memory_bytes // max(1, self.memory_bytes)
        gaining = int(_OPERATIONS_AT_ONCE / max(1, self.step_operations))
        return max(1, min(most, fitting, gaining))
