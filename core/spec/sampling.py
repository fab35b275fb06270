"""At which steps a run is looked at more closely: a function of the step alone, so that a resumed or a longer run is
looked at at the same ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from core.spec.base import Shape
from core.spec.findings import Findings
from core.spec.layer_base import LayerBase
from core.spec.training import MonitorSpec

# so many looks at the same distance, then half as many at twice the distance, and so on
_LOOKS = 32


@dataclass(frozen=True, slots=True)
class Sampling:
    """The first step and then every `interval`; where it `spreads`, steps 1, 4, 16, ... come before the first interval
    is over, and the distance doubles after 32 looks and with each further doubling of the run: a thousand times longer
    a run has 160 looks more.
    """

    interval: int
    spreads: bool = True

    def next_from(self, step: int) -> int:
        """The first step at or after `step` (1 the first) that is looked at."""
        if step <= 1:
            return 1
        distance = self.interval
        if self.spreads:
            distance <<= ((step - 1) // (_LOOKS * self.interval)).bit_length()
        due = -(-step // distance) * distance
        early = 4 ** (((step - 1).bit_length() + 1) // 2)
        return min(due, early) if self.spreads and early < self.interval else due


# seconds on one core, measured: what a step costs beside its arithmetic, and what a look costs beside its own
_STEP_S = 80e-6
_LAYER_S = 8e-6
_LOOK_S = 100e-6
_LOOK_LAYER_S = 38e-6
_FLOPS_PER_S = 1e11
_VALUES_PER_S = 2e9
# a look for the diagnosis alone asks for less
_OF_A_PROBE = 0.5
_VALUES_OF_A_LAYER = 5
_MOST_VALUES = 10_000_000
_SHARE_OF_ROWS = 0.01
_SHARE_OF_PROBES = 0.006


def monitor_sampling(monitor: MonitorSpec, cost: Cost) -> Sampling | None:
    """The steps whose layers stand in the history; None when none do."""
    if not monitor.layers:
        return None
    asked = monitor.layers_every_steps or monitor.every_steps
    return Sampling(asked, spreads=False) if asked else Sampling(max(10, cost.steps_for(_SHARE_OF_ROWS)))


def check_monitor(monitor: MonitorSpec, layers: int, total_steps: int, findings: Findings) -> None:
    """A history of layers that would outgrow everything else is a fault."""
    asked = monitor.layers_every_steps or monitor.every_steps
    if not monitor.layers or not asked:
        return
    values = (1 + total_steps // asked) * layers * _VALUES_OF_A_LAYER
    if values > _MOST_VALUES:
        where = "/monitor/layers_every_steps" if monitor.layers_every_steps else "/monitor/every_steps"
        wanted = f"a look every {asked} steps, which is about {values} numbers"
        least = math.ceil(asked * values / _MOST_VALUES)
        findings.exceeded(
            where, "too_many_values", wanted, _MOST_VALUES, do=f"look every {least} steps, or set it to null"
        )


def probe_sampling(cost: Cost) -> Sampling:
    """The steps whose layers the warnings of a run go by, whatever is monitored."""
    return Sampling(max(50, cost.steps_for(_SHARE_OF_PROBES / _OF_A_PROBE)))


@dataclass(frozen=True, slots=True)
class Cost:
    """What a step of a run costs and what a look at one, estimated from sizes alone."""

    step_s: float
    look_s: float

    @classmethod
    def of(cls, layers: Sequence[LayerBase], shape: Shape, batch_size: int) -> Cost:
        """For batches of so many samples of `shape`."""
        flops = values = parameters = 0
        for layer in layers:
            flops += layer.flops(shape)
            parameters += layer.parameter_count(shape)
            shape = layer.output_shape(shape)
            values += math.prod(shape)
        step_s = _STEP_S + len(layers) * _LAYER_S + 3 * flops * batch_size / _FLOPS_PER_S
        look_s = _LOOK_S + len(layers) * _LOOK_LAYER_S + (4 * values * batch_size + 6 * parameters) / _VALUES_PER_S
        return cls(step_s, look_s)

    def steps_for(self, share: float) -> int:
        """The distance at which looks take this share of the time of training."""
        return math.ceil(self.look_s / (share * self.step_s))
