"""The machine and the software that figures were taken on."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil


def machine() -> dict[str, Any]:
    """JSON-safe facts; none of them names the machine itself."""
    return {
        "cpu": _cpu_model(),
        "architecture": platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "os": _system(),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def today() -> str:
    """RFC 3339, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def load() -> float:
    """Processes that wanted a core over the last minute: what else the machine was doing."""
    return round(os.getloadavg()[0], 2)


def circumstances() -> dict[str, Any]:
    """What every file of figures begins with: when, on what machine, and how busy that was before."""
    return {"date": today(), "machine": machine(), "load_before": load()}


def _cpu_model() -> str:
    """The model's name with its family and number, since virtual machines tell little by name."""
    file = Path("/proc/cpuinfo")
    if not file.exists():
        return platform.processor() or platform.machine()
    first = file.read_text().split("\n\n", 1)[0].splitlines()
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first)}
    name = facts.get("model name", platform.machine())
    if "cpu family" not in facts:
        return name
    vector = next((flag for flag in ("avx512f", "avx2") if flag in facts.get("flags", "").split()), None)
    told = f"{name}, family {facts['cpu family']} model {facts.get('model', '?')}"
    return f"{told}, {vector}" if vector else told


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return f"{platform.system()} {platform.release()}"
