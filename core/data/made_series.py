"""Data sets that are drawn on demand and have an order: noisy waveforms, and a table that goes on in time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from core.data.contents import ArrayContents, TableContents
from core.data.table import StoredColumn

Floats = NDArray[np.float64]

# shapes of one period, u from 0 to 1, height 1; in the order in which `classes` takes them
WAVES: dict[str, Callable[[Floats], Floats]] = {
    "sine": lambda u: np.sin(2 * np.pi * u),
    "square": lambda u: np.where(u < 0.5, 1.0, -1.0),
    "sawtooth": lambda u: 2 * u - 1,
    "triangle": lambda u: 1 - 4 * np.abs(u - 0.5),
}
_HOUR_US = 3_600_000_000
# 2024-01-01T00:00:00Z, a Monday
_START_US = 1_704_067_200_000_000


def waves(random: Generator, values: Mapping[str, Any]) -> ArrayContents:
    """`x` (N, T, 1): two to four periods of one waveform at a random phase, with noise; `y` its name."""
    rows, length, classes = int(values["rows"]), int(values["length"]), int(values["classes"])
    labels = random.permutation(np.arange(rows) % classes)
    periods = random.uniform(2, 4, (rows, 1))
    phase = random.uniform(0, 1, (rows, 1))
    u = (phase + periods * np.arange(length) / length) % 1
    x = np.empty((rows, length))
    for number, shape in enumerate(list(WAVES.values())[:classes]):
        x[labels == number] = shape(u[labels == number])
    x += float(values["noise"]) * random.standard_normal(x.shape)
    names = list(WAVES)[:classes]
    categories = sorted(names)
    codes = np.array([categories.index(name) for name in names], dtype=np.int64)[labels]
    return ArrayContents({"x": x.astype(np.float32)[:, :, None], "y": codes}, categories)


def seasonal(random: Generator, values: Mapping[str, Any]) -> TableContents:
    """Hourly `value`: a slow trend, a season of a day and one of a week, noise; `time` from 2024-01-01, a Monday."""
    hours = np.arange(int(values["rows"]))
    trend = 10 + 0.002 * hours
    day = 2 * np.sin(2 * np.pi * hours / 24) + 0.5 * np.cos(4 * np.pi * hours / 24)
    week = np.sin(2 * np.pi * hours / 168)
    value = trend + day + week + float(values["noise"]) * random.standard_normal(len(hours))
    return TableContents(
        [StoredColumn("time", "datetime", _START_US + hours * _HOUR_US), StoredColumn("value", "float", value)]
    )
