"""The C++ compiler of this machine, as the compiled path needs it."""

from __future__ import annotations

import functools
import os
import platform
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path

# what generated code begins with
_PROBE = "#include <omp.h>\n#include <Python.h>\nint main() { return omp_get_max_threads() > 0 ? 0 : 1; }\n"
_PROBE_S = 30.0


@functools.cache
def find_compiler() -> str | None:
    """The compiler and the processor that it writes for, in words; None where there is none that works.

    It is tried with OpenMP and Python's headers, without which generated code is not built.
    """
    command = shutil.which(os.environ.get("CXX", "g++"))
    if command is None:
        return None
    try:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "probe.cpp")
            source.write_text(_PROBE)
            headers = sysconfig.get_path("include")
            _run(command, "-fopenmp", "-march=native", f"-I{headers}", str(source), "-c", "-o", f"{folder}/probe.o")
        version = _run(command, "--version").splitlines()[0]
    except (OSError, subprocess.SubprocessError, IndexError):
        return None
    return f"{version} for {_processor()}"


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=_PROBE_S).stdout  # noqa: S603 - words of our own


def _processor() -> str:
    """Its model: code is written for one, and another may lack what it uses."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()
