"""The zygote imports the engine and forks: nothing may have run by then."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROBE = """
import sys
from pathlib import Path
import core.engine.run
for name in ("torch._dynamo", "torch._inductor"):
    assert name not in sys.modules, f"{name} costs a second"
for name in ("sqlalchemy", "fastapi", "celery", "core.settings"):
    assert name not in sys.modules, name
import torch
assert not torch.cuda.is_initialized()
names = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
# polars waits in one that holds nothing
print(len([name for name in names if not name.startswith("polars-ooc")]))

from core.engine.flat import FlatParameters
from core.engine.optimizers import build_optimizer
from core.spec.optimizers import LBFGS
build_optimizer(LBFGS(), FlatParameters(torch.nn.Linear(1, 1)))
assert "torch._dynamo" not in sys.modules, "L-BFGS costs a second"
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted in /proc")
def test_importing_the_engine_runs_nothing() -> None:
    environment = {"OPENBLAS_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", PROBE], capture_output=True, text=True, check=False, env=environment, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "1", "threads were started"
