"""Microseconds a step on a GPU: Netmill beside plain PyTorch and its compiled form, and what the device can do at most.

    .venv/bin/python -m benchmarks.gpu [--quick] [--workload NAME ...]

Says "no GPU" and measures nothing where there is none. As in `benchmarks.engine` a step's time is that of a long run
less that of a short one over the steps that it has more, all in one process and in turn. Every PyTorch row has its data
on the device, batches cut from an epoch's rows, and one fused Adam; the compiled one plays CUDA graphs
(`mode="reduce-overhead"`). float32 is float32 everywhere: TF32 is on in rows that say so. Ceilings are a copy within
the device and a product of large square matrices.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks import results
from benchmarks.engine.workloads import WORKLOADS, Data, Workload, made_rows
from benchmarks.figures import summary
from benchmarks.machine import machine, today
from benchmarks.peers import pytorch_well
from benchmarks.peers.netmill_runs import Runs
from benchmarks.peers.peer import Train
from core.engine.environment import allow_tf32

PART = "gpu"
_REPEATS, _QUICK_REPEATS = 7, 3
_COPIED_BYTES, _SIDE, _CEILING_RUNS = 2**30, 8192, 10

Prepare = Callable[[Workload, Data], Train]


def _netmill(**training: Any) -> Prepare:
    def prepare(workload: Workload, data: Data) -> Train:
        return partial(Runs(workload, data, 1, validates=False).train, device="cuda", **training)

    return prepare


def _pytorch(compiled: Callable[[pytorch_well.Objective], pytorch_well.Objective]) -> Prepare:
    def prepare(workload: Workload, data: Data) -> Train:
        return pytorch_well.prepare(workload, data, 1, compiled, device="cuda")

    return prepare


CONTENDERS: dict[str, tuple[Prepare, bool]] = {
    "Netmill": (_netmill(), False),
    "Netmill, TF32": (_netmill(tf32=True), True),
    "Netmill, bfloat16": (_netmill(precision="bfloat16"), False),
    "Netmill, float16": (_netmill(precision="float16"), False),
    "PyTorch": (_pytorch(pytorch_well.same), False),
    "PyTorch, TF32": (_pytorch(pytorch_well.same), True),
    "PyTorch, compiled": (_pytorch(partial(torch.compile, mode="reduce-overhead")), False),
    "PyTorch, compiled, TF32": (_pytorch(partial(torch.compile, mode="reduce-overhead")), True),
}
"""What trains, and whether TF32 is allowed meanwhile."""


def main(arguments: Sequence[str] | None = None) -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true", help="few repeats")
    options.add_argument("--workload", nargs="+", choices=WORKLOADS, default=list(WORKLOADS))
    options.add_argument("--out", type=Path, default=results.FOLDER, help="folder for the JSON file")
    chosen = options.parse_args(arguments)
    if not torch.cuda.is_available():
        print("no GPU")
        return 0
    figures: dict[str, Any] = {
        "date": today(),
        "machine": machine(),
        "device": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "ceilings": ceilings(),
    }
    repeats = _QUICK_REPEATS if chosen.quick else _REPEATS
    figures["rows"] = [row for name in chosen.workload for row in measured(WORKLOADS[name], repeats, synchronized)]
    results.write(PART, figures, chosen.out)
    print(f"{figures['device']}: {figures['ceilings']}")
    for row in figures["rows"]:
        print(f"{row['workload']:8} {row['peer']:26} {row.get('us', {}).get('median', row.get('absent'))}")
    return 0


def measured(workload: Workload, repeats: int, run: Callable[[Train, int], float]) -> Iterator[dict[str, Any]]:
    """A row for each contender: microseconds a step, or why it has none."""
    data = made_rows(workload)
    ready: dict[str, tuple[Train, bool]] = {}
    for name, (prepare, tf32) in CONTENDERS.items():
        try:
            train = prepare(workload, data)
            with tf32_allowed(tf32):
                first = sum(run(train, epochs) for epochs in workload.epochs)
            ready[name] = train, tf32
            print(f"{workload.name}: {name} is warm after {first:.1f} s", file=sys.stderr)
        except Exception as fault:  # noqa: BLE001  # a compiler that fails is a row without a time
            yield {"peer": name, "workload": workload.name, "absent": f"{type(fault).__name__}: {str(fault)[:200]}"}
    samples: dict[str, list[float]] = {name: [] for name in ready}
    for _ in range(repeats):
        for name, (train, tf32) in ready.items():
            with tf32_allowed(tf32):
                short, long = (run(train, epochs) for epochs in workload.epochs)
            samples[name].append((long - short) / workload.timed_steps * 1e6)
    for name, each in samples.items():
        yield {"peer": name, "workload": workload.name, "us": summary(each)}


def synchronized(train: Train, epochs: int) -> float:
    """Seconds of a training with all that the device has to do for it."""
    return _timed(partial(train, epochs))


def _timed(work: Callable[[], Any]) -> float:
    torch.cuda.synchronize()
    began = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - began


@contextmanager
def tf32_allowed(allowed: bool) -> Iterator[None]:
    """Netmill sets the switch for its own runs; the others find it as it is put here."""
    allow_tf32(allowed)
    try:
        yield
    finally:
        allow_tf32(False)


def ceilings() -> dict[str, float]:
    """GB/s read and written by a copy; 10^12 operations a second of a product in each precision."""
    room = torch.empty(_COPIED_BYTES, dtype=torch.uint8, device="cuda")
    other = torch.empty_like(room)
    told = {"copy_gb_per_s": 2 * _COPIED_BYTES / _least_s(lambda: other.copy_(room)) / 1e9}
    for name, dtype, tf32 in (
        ("float32", torch.float32, False),
        ("tf32", torch.float32, True),
        ("bfloat16", torch.bfloat16, False),
        ("float16", torch.float16, False),
    ):
        a, b = (torch.randn(_SIDE, _SIDE, device="cuda").to(dtype) for _ in range(2))
        with tf32_allowed(tf32):
            told[f"matmul_{name}_tflop_per_s"] = 2 * _SIDE**3 / _least_s(partial(torch.mm, a, b)) / 1e12
    return {name: round(value, 1) for name, value in told.items()}


def _least_s(work: Callable[[], Any]) -> float:
    """Seconds of the quickest of several runs; the first ones choose algorithms and are not counted."""
    for _ in range(3):
        work()
    return min(_timed(work) for _ in range(_CEILING_RUNS))


if __name__ == "__main__":
    sys.exit(main())
