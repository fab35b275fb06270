"""Fixtures of the proofs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.core.engine.workbench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    threads = torch.get_num_threads()
    yield Bench(tmp_path, {})
    torch.set_num_threads(threads)


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(7))
