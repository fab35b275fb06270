"""Arrays far from 0 and 1 that nothing scales are warned of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.data.ingest import ingest
from core.data.prepare import prepare
from core.spec.limits import Limits
from core.spec.plan import check_job


def codes(tmp_path: Path, x: Any, scale: str) -> list[str]:
    source = tmp_path / "a.npz"
    np.savez(source, x=x, y=np.arange(len(x)) % 2)
    made = ingest(source, "npz", tmp_path, Limits())
    body = {"data": {"dataset": "a", "preprocess": {"scale": scale}}, "network": {"layers": [{"type": "flatten"}]}}
    plan = check_job(body, lambda _: made.schema, Limits())
    return [f"{w.code} {w.pointer}" for w in prepare(plan.spec, made.schema, made.data_path).warnings]


@pytest.mark.parametrize("shape", [(40, 5), (40, 7, 5), (40, 2, 6, 6)])
def test_numbers_from_0_to_255(tmp_path: Path, random: np.random.Generator, shape: tuple[int, ...]) -> None:
    x = random.integers(0, 256, shape).astype("float32")
    assert codes(tmp_path, x, "none") == ["unscaled_inputs /data/preprocess/scale"]
    assert codes(tmp_path, x, "standard") == []
    assert codes(tmp_path, x / 255, "none") == []
    assert codes(tmp_path, x / 255_000, "none") == ["unscaled_inputs /data/preprocess/scale"]
    assert codes(tmp_path, 0 * x, "none") == []


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(3))
