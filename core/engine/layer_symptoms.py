"""What one look at the layers gives reason to warn of, in the numbers of that look.

Gradients are followed through the activations: S of a layer is how the length of the gradient changes as it passes back
through it, and what reaches the first layer is the product of all S (Glorot and Bengio 2010).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.engine.microscope import Look
from core.spec.activations import Sigmoid
from core.spec.job import JobSpec
from core.spec.layer_base import LayerBase

# a network of two layers has no depth for gradients to get lost in
_LEAST_DEPTH = 3
# sigmoids lose gradients wherever weights are; others may go on well with a little of it, the more so with adam
_VANISHED_OF_SIGMOIDS, _VANISHED, _VANISHED_SIGNAL = 5e-3, 1e-4, 1e-2
_EXPLODED = 1e3
_SATURATED_AT_START, _SATURATED = 0.5, 0.9
# at first half the units of a deep layer may be silent, as all samples look alike there
_DEAD_AT_START, _DEAD = 0.85, 0.75


@dataclass(frozen=True, slots=True)
class Symptom:
    """Something to warn of; it is told again when `severity` is ten times that of the last time."""

    code: str
    pointer: str
    detail: str
    severity: float


class Anatomy:
    """The layers of a run's network, and how to name them."""

    def __init__(self, spec: JobSpec) -> None:
        network = spec.layered()
        self.layers: tuple[LayerBase, ...] = (*network.layers, *(network.head or ()))
        self.head_at = len(network.layers)
        self.is_unscaled = spec.data.preprocess.scale == "none"

    def pointer(self, index: int) -> str:
        """Where the layer stands in the resolved spec."""
        if index < self.head_at:
            return f"/network/layers/{index}"
        return f"/network/head/{index - self.head_at}"

    def name(self, index: int) -> str:
        return f"layer {index} ({self.type(index)})"

    def type(self, index: int) -> str:
        return str(self.layers[index].type)  # type: ignore[attr-defined]  # every member of the union has a type

    def sigmoids(self) -> int:
        return sum(isinstance(layer, Sigmoid) for layer in self.layers[: self.head_at])


def learning_layers(look: Look) -> list[int]:
    """Layers with parameters, whose gradients were numbers."""
    return [i for i, layer in enumerate(look.layers) if math.isfinite(layer.get("gradient_norm", math.nan))]


def vanishing(anatomy: Anatomy, look: Look) -> Symptom | None:
    """The first layer's gradient is next to nothing beside the last one's."""
    learning = learning_layers(look)
    if len(learning) < _LEAST_DEPTH:
        return None
    first, last = learning[0], learning[-1]
    ends = [look.layers[index]["gradient_norm"] for index in (first, last)]
    signals = [look.signals[index] or 0.0 for index in (first, last)]
    least = _VANISHED_OF_SIGMOIDS if anatomy.sigmoids() >= _LEAST_DEPTH else _VANISHED
    if not ends[1] or not signals[1] or ends[0] >= least * ends[1] or signals[0] >= _VANISHED_SIGNAL * signals[1]:
        return None
    ratio = ends[0] / ends[1]
    seen = (
        f"the gradient of the first layer's weights is {f'only {ratio:.1e}' if ratio else 'nothing'} beside the last "
        f"layer's (layer {first}: {ends[0]:.2g}, layer {last}: {ends[1]:.2g}, at step {look.step}), so the first "
        "layers hardly learn"
    )
    detail = f"{seen}: {_why_vanished(anatomy, look)}"
    return Symptom("vanishing_gradients", anatomy.pointer(first), detail, max(ratio, 1e-12) ** (-1 / 3))


def _why_vanished(anatomy: Anatomy, look: Look) -> str:
    sigmoids = anatomy.sigmoids()
    if sigmoids >= _LEAST_DEPTH:
        return (
            f"the derivative of a sigmoid is at most 1/4, and {sigmoids} of them pass on at most "
            f"(1/4)^{sigmoids} = {0.25**sigmoids:.1e} of it where weights do not make up for it; use relu with init "
            "he, put batch_norm before each activation, or take fewer layers"
        )
    scales = [layer["gradient_scale"] for layer in look.layers if "gradient_scale" in layer]
    lost = not scales or min(scales) <= 0
    mean = "" if lost else f", {math.exp(sum(map(math.log, scales)) / len(scales)):.2g} of it on the average"
    return (
        f"each layer passes on less than it gets{mean}; use init he for relu and xavier for tanh, put batch_norm "
        "between layers, or take fewer of them"
    )


def exploding(anatomy: Anatomy, look: Look) -> Symptom | None:
    """The gradient grows on its way back."""
    learning = learning_layers(look)
    last = look.signals[learning[-1]] if learning else None
    if len(learning) < _LEAST_DEPTH or not last:
        return None
    signals = {index: signal for index in learning if (signal := look.signals[index]) is not None}
    worst = max(signals, key=lambda index: signals[index])
    growth = signals[worst] / last
    if not growth > _EXPLODED:
        return None
    detail = (
        f"the gradient grows {growth:.1e} times on its way back from the output to layer {worst} (step {look.step}), "
        "as the product of all S is far above 1: steps in the first layers are far too long; use init he or xavier "
        "with gain 1, set training.clip_grad_norm to 1, or put batch_norm between layers"
    )
    return Symptom("exploding_gradients", anatomy.pointer(worst), detail, growth ** (1 / 3))


def saturated(anatomy: Anatomy, look: Look, least: float | None = None) -> Symptom | None:
    """Most values of a hidden layer are where its activation is flat."""
    if least is None:
        least = _SATURATED_AT_START if look.step == 1 else _SATURATED
    found = _worst(look.layers[: anatomy.head_at], "saturated")
    if found is None or found[1] < least:
        return None
    index, fraction = found
    when = "before anything was learnt" if look.step == 1 else f"at step {look.step}"
    if look.step == 1 and anatomy.is_unscaled:
        cause = "inputs that nothing scales do that: set data.preprocess.scale to standard"
        pointer = "/data/preprocess/scale"
    else:
        cause = "lower optimizer.lr, use init xavier, scale the inputs, or put batch_norm before it"
        pointer = anatomy.pointer(index)
    detail = (
        f"{fraction:.0%} of the values of {anatomy.name(index)} are saturated {when}: there its derivative is under a "
        f"tenth of its greatest, and hardly any gradient passes; {cause}"
    )
    return Symptom("saturated", pointer, detail, 1 / (1.02 - fraction))


def may_be_dead(look: Look) -> bool:
    """Whether a layer has so many units without an output in the batch that it is worth asking more samples."""
    found = _worst(look.layers, "dead")
    return found is not None and found[1] >= (_DEAD_AT_START if look.step == 1 else _DEAD)


def dead(anatomy: Anatomy, fractions: Mapping[int, float], samples: int, step: int) -> Symptom | None:
    """Most units of a layer are zero for every sample."""
    counted = {i: f for i, f in fractions.items() if i < anatomy.head_at}
    if not counted:
        return None
    index = max(counted, key=lambda i: counted[i])
    fraction = counted[index]
    if fraction < (_DEAD_AT_START if step == 1 else _DEAD):
        return None
    scaling = " and scale the inputs" if anatomy.is_unscaled else ""
    detail = (
        f"{fraction:.0%} of the units of {anatomy.name(index)} are zero for all of {samples} training rows (after step "
        f"{step}): they pass no gradient and do not come back; lower optimizer.lr{scaling}, use leaky_relu or gelu, or "
        "init he"
    )
    return Symptom("dead_units", anatomy.pointer(index), detail, 1 / (1.02 - fraction))


def _worst(layers: Sequence[Mapping[str, float]], stat: str) -> tuple[int, float] | None:
    """The layer where the fraction is greatest, and what it is there."""
    found = [(layer[stat], -index) for index, layer in enumerate(layers) if stat in layer]
    if not found:
        return None
    value, index = max(found)
    return -index, value
