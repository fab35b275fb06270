"""What a run runs on: what decides whether a resume gives the same bits."""

from __future__ import annotations

import ctypes
import platform
from contextlib import suppress
from typing import Any

import torch

from core.engine.compiler import find_compiler
from core.errors import TrainingFailed

_WORDS = {
    "torch": "torch",
    "threads": "threads",
    "cpu_capability": "CPU capability",
    "device": "device",
    "platform": "platform",
    "tf32": "training.tf32",
    "compiler": "compiler",
}
# about a millisecond of one core
_OPERATIONS_WORTH_THREADS = 3e7
_MOST_AT_ONCE = 64
# of mallopt(3); blocks from so many bytes on are mapped each by itself, the most that glibc takes, and so much stays
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_MAPPED_BYTES, _HELD_BYTES = 32 * 1024**2, 256 * 1024**2


def choose_device(wanted: str) -> torch.device:
    """The device of a spec, `auto` being the GPU when there is one; TrainingFailed when a GPU asked for is missing."""
    has_gpu = wanted != "cpu" and torch.cuda.is_available()
    if wanted == "cuda" and not has_gpu:
        raise TrainingFailed(
            "received device cuda, expected one that this worker has: it has no GPU",
            code="device_unavailable",
            pointer="/training/device",
            hint="set device to auto or cpu",
        )
    return torch.device("cuda" if has_gpu else "cpu")


def set_up(device: torch.device, *, tf32: bool = False) -> None:
    """One thread until the run is put together, so that first values are the same everywhere; on a GPU deterministic
    algorithms alone, and TF32 only where it is asked for. The CPU's algorithms for these layers are deterministic as
    they are; the switch would only slow them.
    """
    torch.set_num_threads(1)
    _hold_memory()
    if device.type == "cuda":
        torch.use_deterministic_algorithms(True, warn_only=True)
        allow_tf32(tf32)


def _hold_memory() -> None:
    """Lets the process hold what it frees, as far as its C library can.

    A step takes and frees the same megabytes as the one before, and pages that went back to the system come again
    cleared.
    """
    with suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _MAPPED_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _HELD_BYTES)


def allow_tf32(allowed: bool) -> None:
    """Whether matrix products and convolutions of float32 on a GPU may be rounded to TF32. PyTorch's own default allows
    it for convolutions and recurrent layers. Both switches keep their newer namesakes, `fp32_precision`, in step; the
    other way round PyTorch raises.
    """
    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed


def useful_threads(allowed: int, flops: int, batch_size: int) -> int:
    """Threads that a step gains from: 1 for small ones, whose parts would wait for each other longer than they compute.

    A function of the spec and the data's shape, so that a run that is resumed chooses the same. A step costs about
    3 * flops * batch_size operations, forward and backward.
    """
    return allowed if 3 * flops * batch_size >= _OPERATIONS_WORTH_THREADS else 1


def steps_at_once(flops: int, batch_size: int) -> int:
    """Steps before a run is asked again whether it is to go on: those of some milliseconds, a window's at most."""
    return max(1, min(_MOST_AT_ONCE, int(4 * _OPERATIONS_WORTH_THREADS / (3 * flops * batch_size))))


def describe(device: torch.device, threads: int, *, compiles: bool = False) -> dict[str, Any]:
    """JSON-safe facts that stand in every state file; on a GPU with whether TF32 is allowed as the device is set up,
    where steps are compiled with what compiles them.
    """
    on_gpu = {} if device.type == "cpu" else {"tf32": torch.backends.cuda.matmul.allow_tf32}
    compiler = {"compiler": find_compiler()} if compiles else {}
    return {
        "torch": torch.__version__,
        "threads": threads,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "device": device.type if device.type == "cpu" else torch.cuda.get_device_name(device),
        "platform": f"{platform.system()} {platform.machine()}",
        **on_gpu,
        **compiler,
    }


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What has changed, in words; empty when a resume gives the same bits."""
    changed = [
        f"{word} was {before.get(name)} and is {now.get(name)}"
        for name, word in _WORDS.items()
        if before.get(name) != now.get(name)
    ]
    if now["device"] != "cpu":
        changed.append("a GPU adds in no fixed order")
    return changed
