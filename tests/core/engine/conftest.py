"""Fixtures of the engine's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from core.engine import environment
from tests.core.engine.workbench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    threads = torch.get_num_threads()
    yield Bench(tmp_path, {})
    torch.set_num_threads(threads)


@pytest.fixture
def asked_before_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small networks too can be stopped and changed before any step, and not after each window alone."""
    monkeypatch.setattr(environment, "_MOST_AT_ONCE", 1)


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(7))
