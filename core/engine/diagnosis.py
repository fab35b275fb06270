"""Warnings of a run as it goes: each told once, with when it was first seen, and again where it got much worse.

A function of the run's own numbers, and its memory is part of the run's state: a resumed run neither repeats a warning
nor misses one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any

from core.engine import curve_symptoms, layer_symptoms
from core.engine.curve_symptoms import Curve, Reference
from core.engine.layer_symptoms import Anatomy, Symptom
from core.engine.microscope import Look
from core.events import Warned
from core.spec.job import JobSpec

_MUCH_WORSE = 10.0
_MOST_TIMES = 3
# what may lie behind a loss that does not get better
_CAUSES = ("vanishing_gradients", "exploding_gradients", "dead_units", "saturated", "lr_too_high")
_CERTAIN = 1e300


class Diagnosis:
    """Looks at single steps and at epochs, and remembers what it has told."""

    def __init__(
        self,
        spec: JobSpec,
        *,
        constant: Callable[[], Reference],
        ask_dead: Callable[[], tuple[dict[int, float], int]],
        validation_rows: int,
        told: frozenset[str] = frozenset(),
    ) -> None:
        self._spec = spec
        self._anatomy = Anatomy(spec)
        self._constant, self._ask_dead = constant, ask_dead
        self._validation_rows = validation_rows
        self._told_before = told
        self._curve = Curve()
        self._told: dict[str, tuple[float, int]] = {}
        # codes that the last look gave: a single look during training may be chance, two in a row are not
        self._suspected: list[str] = []

    @cached_property
    def _reference(self) -> Reference:
        return self._constant()

    def goes_by(self, spec: JobSpec) -> None:
        """Judges by a spec that was changed while the run lives."""
        self._spec = spec

    def look(self, look: Look, epoch: int) -> list[Warned]:
        """What a step seen from within gives reason to warn of."""
        if look.step == 1 and math.isfinite(look.loss):
            self._curve.first_loss = look.loss
        symptoms = [symptom for symptom in self._symptoms(look) if symptom is not None]
        sure = [symptom for symptom in symptoms if look.step == 1 or symptom.code in self._suspected]
        self._suspected = [symptom.code for symptom in symptoms]
        return self._tell(sure, epoch, look.step)

    def _symptoms(self, look: Look) -> tuple[Symptom | None, ...]:
        """One cause, one warning: behind dead or saturated units, and after steps far too long, gradients go astray."""
        dead = None
        if layer_symptoms.may_be_dead(look):
            dead = layer_symptoms.dead(self._anatomy, *self._ask_dead(), look.step)
        saturated = None if self._learns_well() else layer_symptoms.saturated(self._anatomy, look)
        if dead or saturated or "lr_too_high" in self._told:
            return dead, saturated
        return layer_symptoms.vanishing(self._anatomy, look), layer_symptoms.exploding(self._anatomy, look)

    def epoch(self, values: dict[str, float], epoch: int, step: int, *, is_over: bool) -> list[Warned]:
        """What the losses of an epoch that has just ended give reason to warn of."""
        accuracy = values.get("train.accuracy", 0.0)
        self._curve.add(values["train.loss"], values.get("validation.loss"), accuracy)
        found = [
            curve_symptoms.lr_too_high(self._curve, self._reference, self._spec),
            curve_symptoms.overfitting(self._curve, self._reference, self._validation_rows),
        ]
        warned = self._tell([symptom for symptom in found if symptom is not None], epoch, step)
        told = tuple(code for code in _CAUSES if code in self.codes)
        late = curve_symptoms.no_learning(self._curve, self._reference, self._spec, is_over=is_over, told=told)
        if late is None and is_over and not told:
            late = curve_symptoms.still_learning(self._curve, self._reference)
        return warned + (self._tell([late], epoch, step) if late else [])

    def diverged(self, epoch: int, step: int) -> list[Warned]:
        """The warning that explains a run whose loss is no number any more."""
        return self._tell([curve_symptoms.diverged(self._curve, self._spec, epoch, step)], epoch, step)

    def _learns_well(self) -> bool:
        """Whether most of what can be learnt of the rows has been: then a flat activation is a sure answer."""
        return bool(self._curve.train) and self._reference.skill(self._curve.train[-1]) > 0.5

    def _tell(self, symptoms: list[Symptom], epoch: int, step: int) -> list[Warned]:
        """Those of the symptoms that are new, or much worse than when they were last told."""
        warned = []
        for symptom in symptoms:
            before, times = self._told.get(symptom.code, (0.0, 0))
            severity = min(symptom.severity, _CERTAIN)
            if symptom.code in self._told_before or times >= _MOST_TIMES or severity < _MUCH_WORSE * before:
                continue
            self._told[symptom.code] = (severity, times + 1)
            warned.append(Warned(symptom.code, symptom.pointer, symptom.detail, epoch, step))
        return warned

    @property
    def codes(self) -> frozenset[str]:
        """All that was told, by folds before too."""
        return self._told_before | self._told.keys()

    def numbers(self) -> dict[str, Any]:
        """Its memory, JSON-safe."""
        told = {code: list(entry) for code, entry in self._told.items()}
        return {"curve": self._curve.numbers(), "told": told, "suspected": list(self._suspected)}

    def load(self, numbers: dict[str, Any]) -> None:
        self._curve = Curve.of(numbers["curve"])
        self._told = {code: (severity, times) for code, (severity, times) in numbers["told"].items()}
        self._suspected = list(numbers["suspected"])
