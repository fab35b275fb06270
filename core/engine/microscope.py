"""What happens within the layers at single steps of a run: gradients, weights, updates and activations of each.

Between those steps nothing is hooked and nothing computed, and looking moves no bit of the training: it reads what the
step computes anyway, as kernels or hooks on PyTorch's modules show it. Gradients are those of the batch's loss, before
penalties and clipping.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice, pairwise

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from core.engine.activity import CAN_DIE, SATURATED, dead_fraction, saturated_fraction, silent
from core.engine.flat import FlatParameters
from core.engine.learner import Learner
from core.engine.optimizers import Evaluate, Optimizer
from core.spec.sampling import Sampling

STATS = (
    "gradient_norm",
    "weight_norm",
    "update_ratio",
    "activation_mean",
    "activation_std",
    "saturated",
    "dead",
    "gradient_scale",
)
_DIGITS = 6


@dataclass(slots=True)
class Look:
    """One step seen from within: `layers[i]` has what there is of `STATS` for the layer with index i; weights, updates
    and the values of activations only where the step stands in the history.

    `signals[i]` is the length of the gradient with respect to the layer's outputs.
    """

    step: int
    loss: float
    layers: list[dict[str, float]]
    signals: list[float | None] = field(default_factory=list)

    def row(self) -> dict[str, float]:
        """The values as they stand in the history."""
        return {
            f"layer.{index}.{stat}": float(f"{layer[stat]:.{_DIGITS}g}")
            for index, layer in enumerate(self.layers)
            for stat in STATS
            if stat in layer
        }


class Microscope:
    """Looks at those steps of a run that `rows` (the history) or `probes` (the diagnosis) ask for.

    Who takes such a step calls `open` before it and `close` behind it, and shows each pass in between: `begin_pass`,
    `output` of each layer, `signal` on the way back and `gradients`.
    """

    def __init__(self, learner: Learner, network: nn.Sequential, *, rows: Sampling | None, probes: Sampling) -> None:
        self._learner, self._network, self._flat = learner, network, learner.flat
        self._rows, self._probes = rows, probes
        self._places = _places_by_layer(self._flat, len(network))
        self._sizes = [math.prod(place.shape) for place in self._flat.places]
        self._kinds = [layer if _is_watched(layer) else None for layer in network]
        # every number of a look, and where it belongs: read from the device all at once
        self._seen: dict[tuple[int, str], list[Tensor]] = {}
        self._counts: dict[int, int] = {}
        self._step = self._rows_of_batch = 0
        self._for_history = False
        # memory of their own, as fresh pages cost more than the arithmetic
        self._before = torch.empty_like(self._flat.values)
        self._gradients: Sequence[Tensor] = ()
        self._loss: Tensor | None = None
        self._held: dict[str, float] = {}
        self.look: Look | None = None
        """The step just done, where it was looked at; whoever reads it puts None in its place."""
        self.next_step = 1

    def begin(self, steps_done: int) -> None:
        """Goes on behind so many steps."""
        due = [each.next_from(steps_done + 1) for each in (self._rows, self._probes) if each is not None]
        self.next_step = min(due)

    def is_for_history(self, step: int) -> bool:
        return self._rows is not None and self._rows.next_from(step) == step

    def is_for_diagnosis(self, step: int) -> bool:
        return self._probes.next_from(step) == step

    def hold(self, row: dict[str, float]) -> None:
        """Keeps a row's values for the row that is due at the same step."""
        self._held = row

    def take_held(self) -> dict[str, float]:
        held, self._held = self._held, {}
        return held

    def step(self, optimizer: Optimizer, evaluate: Evaluate, lr: float, k: int) -> Tensor:
        """Does the optimizer's step k, whose passes PyTorch records, and looks at it; returns the outputs."""
        self.open(k)
        hooks = self._hook()
        self._learner.after_backward = self.gradients
        try:
            outputs = optimizer.step(evaluate, lr, k)
        finally:
            self._learner.after_backward = None
            for hook in hooks:
                hook.remove()
        self.close()
        return outputs

    def open(self, step: int) -> None:
        """The step with this number is about to be taken, and its passes will be shown."""
        self._step, self._for_history = step, self.is_for_history(step)
        if self._for_history:
            self._before.copy_(self._flat.values)

    def close(self) -> None:
        """The step is done: `look` has what was seen."""
        self.look = self._read(1 / self._rows_of_batch if self._learner.loss.reduction == "sum" else 1.0)
        self.begin(self._step)

    def begin_pass(self, rows: int) -> None:
        """A pass of so many rows begins; of those of a step the last counts."""
        self._seen.clear()
        self._rows_of_batch = rows

    def output(self, layer: int, y: Tensor) -> None:
        """What came out of a layer, (N, ...)."""
        module = self._kinds[layer]
        if module is not None:
            self._see_activation(layer, module, y)
        if self._for_history:
            # in float64 and without a copy: torch.std_mean takes ten times as long
            self._seen[layer, "activation_mean"] = [y.mean(dtype=torch.float64)]
            self._seen[layer, "length"] = [torch.linalg.vector_norm(y, dtype=torch.float64)]
            self._counts[layer] = y.numel()

    def signal(self, layer: int, g: Tensor) -> None:
        """The gradient with respect to what came out of a layer, (N, ...)."""
        self._seen[layer, "signal"] = [torch.linalg.vector_norm(g)]

    def gradients(self, loss: Tensor) -> None:
        """The batch's loss (); its gradients stand in the flat buffer."""
        # of several evaluations in a step (lbfgs) the first is that of the weights before it
        if self._loss is None:
            self._loss = loss.detach()
        self._gradients = torch._foreach_norm(torch.split(self._flat.gradients, self._sizes))  # noqa: SLF001

    def dead_units(self, x: Tensor, rows_at_once: int) -> dict[int, float]:
        """By layer the fraction of units that are zero for all samples `x` (N, *shape), as predictions see them."""
        masks: dict[nn.Module, list[Tensor]] = {}

        def see(module: nn.Module, _inputs: object, output: Tensor) -> None:
            now = silent(output)
            masks[module] = [mask & other for mask, other in zip(masks.get(module, now), now, strict=True)]

        watched = [(i, m) for i, layer in enumerate(self._network) for m in layer.modules() if isinstance(m, CAN_DIE)]
        hooks = [module.register_forward_hook(see) for _, module in watched]
        training = self._network.training
        try:
            self._network.eval()
            with torch.inference_mode():
                for chunk in torch.split(x, rows_at_once):
                    self._network(chunk)
        finally:
            self._network.train(training)
            for hook in hooks:
                hook.remove()
        found: dict[int, float] = {}
        for index, module in watched:
            if module in masks:
                found[index] = max(found.get(index, 0.0), float(dead_fraction(masks[module])))
        return found

    def _hook(self) -> list[RemovableHandle]:
        """Those on PyTorch's modules that show a pass."""
        hooks = [self._network.register_forward_pre_hook(self._hear_of_pass)]
        for index, layer in enumerate(self._network):
            within = [each for each in layer.modules() if each is not layer and _is_watched(each)]
            hooks += [each.register_forward_hook(partial(self._hear_of_activation, index)) for each in within]
            hooks.append(layer.register_forward_hook(partial(self._hear_of_output, index)))
        return hooks

    def _hear_of_pass(self, _module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self.begin_pass(len(inputs[0]))

    def _hear_of_activation(self, layer: int, module: nn.Module, _inputs: object, output: Tensor) -> None:
        self._see_activation(layer, module, output.detach())

    def _hear_of_output(self, layer: int, _module: nn.Module, _inputs: object, output: object) -> None:
        if not isinstance(output, Tensor) or not output.is_floating_point():
            return
        self.output(layer, output.detach())
        if output.requires_grad:
            output.register_hook(partial(self.signal, layer))  # type: ignore[no-untyped-call]  # torch's own

    def _see_activation(self, layer: int, module: nn.Module, y: Tensor) -> None:
        if isinstance(module, CAN_DIE):
            self._seen.setdefault((layer, "dead"), []).append(dead_fraction(silent(y)))
        else:
            self._seen.setdefault((layer, "saturated"), []).append(saturated_fraction(module, y))

    def _read(self, of_a_row: float) -> Look:
        """Everything that was seen, brought to the host at once."""
        weights: Sequence[Tensor] = ()
        updates: Sequence[Tensor] = ()
        if self._for_history:
            parts = torch.split(self._before, self._sizes)
            weights = torch._foreach_norm(parts)  # noqa: SLF001
            torch.sub(self._flat.values, self._before, out=self._before)
            updates = torch._foreach_norm(parts)  # noqa: SLF001
        assert self._loss is not None
        seen = [tensor for tensors in self._seen.values() for tensor in tensors]
        numbers = iter(_on_host([self._loss, *self._gradients, *weights, *updates, *seen]))
        loss = next(numbers) * of_a_row
        norms = [list(islice(numbers, len(norm))) for norm in (self._gradients, weights, updates)]
        found: dict[tuple[int, str], float] = {}
        for key, tensors in self._seen.items():
            found[key] = sum(islice(numbers, len(tensors))) / len(tensors)
        self._seen, self._gradients, self._loss = {}, (), None
        layers = [self._of_layer(index, norms, found) for index in range(len(self._network))]
        signals = [found.get((index, "signal")) for index in range(len(layers))]
        for index, (before_it, behind_it) in enumerate(pairwise(signals), start=1):
            # a layer without a signal before it is the first that learns; none behind it: nothing comes back
            if before_it is not None and behind_it:
                layers[index]["gradient_scale"] = before_it / behind_it
        return Look(self._step, loss, layers, signals)

    def _of_layer(self, index: int, norms: list[list[float]], found: dict[tuple[int, str], float]) -> dict[str, float]:
        values = {stat: found[index, stat] for stat in STATS if (index, stat) in found}
        if (index, "length") in found:
            variance = found[index, "length"] ** 2 / self._counts[index] - values["activation_mean"] ** 2
            # rounding may take it below 0; NaN stays NaN
            values["activation_std"] = 0.0 if variance < 0 else math.sqrt(variance)
        places = self._places[index]
        if places:
            gradient, weight, update = (math.hypot(*(part[place] for place in places if part)) for part in norms)
            values["gradient_norm"] = gradient
            if self._for_history:
                values["weight_norm"] = weight
            if weight:
                values["update_ratio"] = update / weight
        return values


def _is_watched(module: nn.Module) -> bool:
    return isinstance(module, CAN_DIE) or type(module) in SATURATED


def _on_host(scalars: Sequence[Tensor]) -> list[float]:
    """The numbers in their order, with one wait for each type among them."""
    numbers = [0.0] * len(scalars)
    for dtype in {scalar.dtype for scalar in scalars}:
        places = [place for place, scalar in enumerate(scalars) if scalar.dtype == dtype]
        for place, number in zip(places, torch.stack([scalars[place] for place in places]).tolist(), strict=True):
            numbers[place] = number
    return numbers


def _places_by_layer(flat: FlatParameters, layers: int) -> list[list[int]]:
    """For each layer which places of the flat buffer are its own."""
    found: list[list[int]] = [[] for _ in range(layers)]
    for number, place in enumerate(flat.places):
        found[int(place.name.partition(".")[0])].append(number)
    return found
