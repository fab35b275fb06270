"""What a run sets of the process, and what a state file tells of it."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch

from core.engine.environment import allow_tf32, describe, differences, set_up


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32, torch.get_num_threads()
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before[:2]
    torch.set_num_threads(before[2])


def _precisions() -> set[str]:
    """By PyTorch's newer names, which its kernels read."""
    cuda, cudnn = torch.backends.cuda, torch.backends.cudnn
    return {cuda.matmul.fp32_precision, cudnn.conv.fp32_precision, cudnn.rnn.fp32_precision}  # type: ignore[attr-defined]


def test_tf32_is_one_switch_for_products_and_convolutions() -> None:
    allow_tf32(True)
    assert _precisions() == {"tf32"}
    allow_tf32(False)
    assert "tf32" not in _precisions()
    allow_tf32(True)
    assert _precisions() == {"tf32"}
    assert torch.backends.mkldnn.matmul.fp32_precision == "none"  # type: ignore[attr-defined]  # the CPU's is another


def test_a_cpu_has_none_and_its_runs_leave_the_switch_alone() -> None:
    allow_tf32(False)
    set_up(torch.device("cpu"), tf32=True)
    assert "tf32" not in _precisions()
    assert "tf32" not in describe(torch.device("cpu"), 1)


def test_a_resume_says_that_tf32_has_changed() -> None:
    cpu = describe(torch.device("cpu"), 1)
    assert differences(cpu, cpu) == []
    gpu = cpu | {"device": "a GPU", "tf32": False}
    told = differences(gpu, gpu | {"tf32": True})
    assert "training.tf32 was False and is True" in told
    assert differences(gpu, cpu)[0] == "device was a GPU and is cpu"


FAULTS = """
import resource, torch
from core.engine.environment import set_up

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        blocks = [torch.zeros(2**21).add_(1) for _ in range(6)]
        del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
without = faults()
set_up(torch.device("cpu"))
faults()
print(without, faults())
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="its C library decides by itself")
def test_memory_that_a_step_frees_is_there_for_the_next() -> None:
    told = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True, timeout=60)
    without, held = map(int, told.stdout.split())
    assert without > 1000
    assert held < without / 10
