"""Networks on published series, on the splits that others report: GunPoint and ItalyPowerDemand of UCR's archive."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.events import Finished
from tests.core.engine.workbench import Bench

pytestmark = pytest.mark.slow

# Wang et al. 2017 report 1.000 and 0.97 for the convolutional network, 0.993 and 0.96 for the residual one
LEAST = {
    ("GunPoint", "convolutional"): 0.98,
    ("GunPoint", "residual"): 0.96,
    ("ItalyPowerDemand", "convolutional"): 0.95,
    ("ItalyPowerDemand", "residual"): 0.95,
}


def _read(name: str, part: str) -> tuple[Any, Any]:
    """(N, T, 1) series and (N,) classes of a file that aeon carries; its code, and what that needs, stays out."""
    aeon = find_spec("aeon")
    assert aeon is not None, "aeon is missing: touch pyproject.toml and run make setup"
    assert aeon.origin is not None
    file = Path(aeon.origin).parent / "datasets" / "data" / name / f"{name}_{part}.ts"
    lines = file.read_text("utf-8").partition("@data")[2].split()
    series, labels = zip(*(line.split(":") for line in lines), strict=True)
    return np.array([row.split(",") for row in series], np.float32)[:, :, None], np.array(labels, np.int64)


@pytest.mark.parametrize(("name", "family"), LEAST)
def test_series_are_told_apart_as_published(bench: Bench, tmp_path: Path, name: str, family: str) -> None:
    x, y = _read(name, "TRAIN")
    x_test, y_test = _read(name, "TEST")
    split = np.repeat(["train", "test"], [len(x), len(x_test)])
    np.savez(tmp_path / "series.npz", x=np.concatenate([x, x_test]), y=np.concatenate([y, y_test]), split=split)
    bench.upload(name, tmp_path / "series.npz", "npz")
    *_, end = bench.events(
        {
            # so few rows that none is spared for validation
            "data": {"dataset": name, "split": {"validation": 0.0}},
            "network": {"family": family},
            "schedule": {"type": "one_cycle"},
            "training": {"epochs": 100, "batch_size": 16},
        }
    )
    assert isinstance(end, Finished), end
    assert end.metrics["test.accuracy"] >= LEAST[name, family]
