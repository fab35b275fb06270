"""Training starts by forking a process that owns one thread; what it imports must not start more."""

from __future__ import annotations

import subprocess
import sys


def test_preparing_data_brings_neither_polars_nor_threads() -> None:
    script = (
        "import os, sys, core.data.prepare, core.data.builtin\n"
        "assert not {'polars', 'torch', 'h5py', 'uproot'} & sys.modules.keys()\n"
        "assert not os.path.exists('/proc/self/task') or len(os.listdir('/proc/self/task')) == 1\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, env={"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": "."})


def test_the_child_starts_without_pydantic() -> None:
    script = "import sys, core.data.child, core.data.frames, core.data.describe; assert 'pydantic' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True, env={"PYTHONPATH": "."})
