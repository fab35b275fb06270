"""Which trainings can be compiled, and when compiling repays itself: functions of the spec and of sizes alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from core.spec.activations import ActivationLayer
from core.spec.base import Shape
from core.spec.findings import Findings
from core.spec.job import JobSpec
from core.spec.layers import Layer
from core.spec.optimizers import SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, RMSprop

_ACTIVATIONS = tuple(str(model.model_fields["type"].default) for model in get_args(ActivationLayer))
LAYER_TYPES = frozenset(
    {"linear", "flatten", "dropout", "batch_norm", "layer_norm", "group_norm", "rms_norm", *_ACTIVATIONS}
)
"""Layers whose backward pass is written out for samples of one axis."""
OPTIMIZERS = (SGD, RMSprop, Adam, AdamW, Adagrad, Adadelta, Adamax)
"""Whose rules are the same formula at every step, the step's number and learning rate being numbers in it."""

# Seconds on one core, measured on linear, relu, linear (64-32-10 in batches of 32) under Adam: a cold compile of six
# steps took 6 on a quiet machine and 15 to 40 on a busy one; a step took 20e-6 in place of 45e-6. What is saved is what
# each layer and the optimizer cost beside arithmetic.
_COMPILE_S = 20.0
_SAVED_STEP_S = 8e-6
_SAVED_LAYER_S = 5e-6
# From here on single products may be so large that the direct path gives them to oneDNN: 28-300-300-300-1 in batches of
# 256 (290e6) took twice as long compiled.
_MOST_OPERATIONS = 6e6


def why_not_compiled(spec: JobSpec, layers: Sequence[Layer], sample: Shape) -> str | None:
    """What of a resolved spec the compiled path does not know, in words; None when it can be compiled."""
    optimizer = spec.optimizer
    odd = next((layer.type for layer in layers if layer.type not in LAYER_TYPES), None)
    if odd is not None:
        return f"a network with the layer {odd}"
    if len(sample) > 1 and layers[0].type != "flatten":
        return f"samples of the shape {list(sample)} that are not flattened at first"
    if all(layer.type != "linear" for layer in layers):
        return "a network without a linear layer"
    if not isinstance(optimizer, OPTIMIZERS):
        return f"the optimizer {optimizer.type}"
    if isinstance(optimizer, SGD) and optimizer.dampening:
        return "the optimizer sgd with dampening, whose first step is another"
    return _odd_numbers(spec)


def _odd_numbers(spec: JobSpec) -> str | None:
    if spec.training.is_mixed:
        return f"the precision {spec.training.precision}"
    return "the device cuda" if spec.training.device == "cuda" else None


def repays(layers: int, operations: int, steps: int) -> bool:
    """Whether compiling is expected to save more time than it takes, over `steps` steps of so many operations each."""
    if operations > _MOST_OPERATIONS:
        return False
    return steps * (_SAVED_STEP_S + layers * _SAVED_LAYER_S) > _COMPILE_S


def check_compile(spec: JobSpec, layers: Sequence[Layer], sample: Shape | None, findings: Findings) -> None:
    """A fault where compiling is asked for and cannot be done."""
    if spec.training.compile != "always" or sample is None:
        return
    reason = why_not_compiled(spec, layers, sample)
    rules = ", ".join(str(each.model_fields["type"].default) for each in OPTIMIZERS)
    if reason is not None:
        findings.fault(
            "/training/compile",
            "cannot_compile",
            f"received always with {reason}, expected linear, activation, norm and dropout layers, one of the "
            f"optimizers {rules}, and float32 or float64 on a CPU; do set compile to auto",
        )
