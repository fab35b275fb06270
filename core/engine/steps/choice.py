"""Which way a run takes its steps: a function of its spec, its data's shape and the machine, and of nothing else."""

from __future__ import annotations

from typing import Literal

import torch

from core.engine.compiler import find_compiler
from core.engine.network import Network
from core.engine.rows import Batching, Rows
from core.engine.steps.compiled import Compiled
from core.engine.steps.solo import Autograd, Direct, Solo, Tools
from core.engine.steps.stack import Part, is_stackable
from core.errors import TrainingFailed
from core.spec.base import Shape
from core.spec.compiling import repays, why_not_compiled
from core.spec.job import JobSpec

StepPath = Literal["autograd", "direct", "compiled"]

_LARGEST_GROUP = 8
# Microseconds for linear, relu, linear under Adam: a compiled step, a call of the code, a step that is not compiled.
# Measured at groups of 3 and 8; they decide how many steps may be left over for the sake of fewer calls.
_COMPILED, _CALL, _DIRECT = 14, 20, 45


def choose_path(
    spec: JobSpec,
    network: Network,
    sample: Shape,
    batching: Batching,
    device: torch.device,
    *,
    begun_on: StepPath | None = None,
) -> StepPath:
    """The path of a run; `begun_on` is that of the checkpoint it goes on from, which it keeps where it can.

    Mixed precision is autocast's, which knows what PyTorch records.
    TrainingFailed where the spec asks for compiling and this machine cannot.
    """
    if begun_on is not None:
        return "direct" if begun_on == "compiled" and _machine_lacks(device) else begun_on
    if spec.training.is_mixed or not is_stackable(network, sample):
        return "autograd"
    if not _is_worth_compiling(spec, network, sample, batching):
        return "direct"
    lacking = _machine_lacks(device)
    if lacking is None:
        return "compiled"
    if spec.training.compile == "always":
        raise TrainingFailed(
            f"received always, expected a worker that can compile: this one has {lacking}",
            code="cannot_compile",
            pointer="/training/compile",
            hint="set training.compile to auto, or install g++ and Python's headers on the worker",
        )
    return "direct"


def lacks_compiler(
    spec: JobSpec, network: Network, sample: Shape, batching: Batching, device: torch.device, *, path: StepPath
) -> str | None:
    """What this machine lacks where a run takes its steps one by one for that reason alone; None for all others."""
    if path != "direct" or device.type != "cpu" or not _is_worth_compiling(spec, network, sample, batching):
        return None
    return _machine_lacks(device)


def group_size(batching: Batching) -> int:
    """How many steps are compiled into one: so many that the steps of a window that fill no group cost least."""
    steps = batching.equal_steps

    def cost(size: int) -> float:
        groups, rest = divmod(steps, size)
        return groups * (size * _COMPILED + _CALL) + rest * _DIRECT

    return min(range(1, min(_LARGEST_GROUP, max(1, steps)) + 1), key=cost)


def build_solo(
    path: StepPath, tools: Tools, part: Part, spec: JobSpec, *, rows: Rows, batching: Batching, at_once: int
) -> Solo:
    """What takes the steps of a run on this path; `rows` are those of the training.

    `at_once` is how many a run takes one by one before it is asked whether it is to go on.
    """
    if path == "compiled":
        example = rows.take(None, 0, batching.first_batch)
        return Compiled(tools, part, spec.optimizer, example, group_size(batching))
    if path == "direct":
        return Direct(tools, part, at_once)
    return Autograd(tools)


def _is_worth_compiling(spec: JobSpec, network: Network, sample: Shape, batching: Batching) -> bool:
    wanted = spec.training.compile
    layers = (*spec.layered().layers, *(spec.layered().head or ()))
    if wanted == "never" or why_not_compiled(spec, layers, sample) is not None:
        return False
    operations = 3 * network.flops * batching.largest_batch
    steps = spec.training.epochs * batching.steps_per_epoch
    return wanted == "always" or (group_size(batching) > 1 and repays(len(layers), operations, steps))


def _machine_lacks(device: torch.device) -> str | None:
    if device.type != "cpu":
        return "a GPU, for which steps are not compiled"
    return None if find_compiler() else "no C++ compiler that works"
