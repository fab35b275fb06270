"""The microscope and the diagnosis of a run, put together from its spec and sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from core.engine.constant import reference
from core.engine.diagnosis import Diagnosis
from core.engine.learner import Learner
from core.engine.microscope import Microscope
from core.engine.rows import Rows
from core.events import Warned
from core.spec.base import Shape
from core.spec.job import JobSpec
from core.spec.layer_base import LayerBase
from core.spec.sampling import Cost, monitor_sampling, probe_sampling

# rows that a unit must be silent for to be called dead
_ROWS = 512
_LEAST_AT_ONCE = 32


class Watch:
    """What looks on while a run trains, and what it has to say."""

    def __init__(
        self,
        spec: JobSpec,
        learner: Learner,
        network: nn.Sequential,
        parts: tuple[Rows, Rows | None],
        *,
        batch_size: int,
        told: frozenset[str] = frozenset(),
    ) -> None:
        train, validation = parts
        layers: Sequence[LayerBase] = (*spec.layered().layers, *(spec.layered().head or ()))
        shape: Shape = tuple(train.x.shape[1:])
        cost = Cost.of(layers, shape, batch_size)
        rows, probes = monitor_sampling(spec.monitor, cost), probe_sampling(cost)
        self.microscope = Microscope(learner, network, rows=rows, probes=probes)
        some = train.x[:: -(-len(train) // _ROWS)].to(train.device)
        self.diagnosis = Diagnosis(
            spec,
            constant=lambda: reference(learner.loss, spec.loss, train, is_classification=spec.task == "classification"),
            ask_dead=lambda: (self.microscope.dead_units(some, max(batch_size, _LEAST_AT_ONCE)), len(some)),
            validation_rows=len(validation or ()),
            told=told,
        )

    @property
    def has_seen(self) -> bool:
        """Whether the step just done was looked at, and nobody has asked yet what was seen."""
        return self.microscope.look is not None

    def is_due(self, step: int) -> bool:
        """Whether the step with this number is to be looked at."""
        return self.microscope.next_step == step

    def steps_before_look(self, steps_done: int) -> int:
        """How many steps there are before the next one that is to be looked at."""
        return self.microscope.next_step - 1 - steps_done

    def seen(self, epoch: int) -> tuple[dict[str, float], list[Warned]]:
        """The row of the step that was looked at, empty when the history has none there; and what to warn of."""
        look, self.microscope.look = self.microscope.look, None
        assert look is not None
        row = look.row() if self.microscope.is_for_history(look.step) else {}
        return row, self.diagnosis.look(look, epoch) if self.microscope.is_for_diagnosis(look.step) else []

    def numbers(self) -> dict[str, Any]:
        return self.diagnosis.numbers()

    def load(self, numbers: dict[str, Any] | None, steps_done: int) -> None:
        """Goes on behind so many steps; a state of an older version has no memory, and the diagnosis begins anew."""
        self.microscope.begin(steps_done)
        if numbers is not None:
            self.diagnosis.load(numbers)
