"""What the worker asks of the kernel, seen in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

from worker import posix

FORGET = """
import torch
from pathlib import Path
from worker import posix

def resident_kb():
    lines = Path("/proc/self/smaps").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Rss:"))

before = resident_kb()
posix.forget_clean_files()
print(before - resident_kb())
a = torch.arange(12.0).reshape(3, 4)
assert torch.equal(a @ a.T, torch.tensor([[14.0, 38.0, 62.0], [38.0, 126.0, 214.0], [62.0, 214.0, 366.0]]))
torch.linalg.qr(torch.eye(50))
"""


def test_pages_of_libraries_are_given_back_and_come_again_when_used() -> None:
    done = subprocess.run([sys.executable, "-c", FORGET], capture_output=True, text=True, timeout=60, check=True)
    assert int(done.stdout) > 20_000


def test_a_wide_pipe_holds_what_nobody_has_read(tmp_path: Path) -> None:
    read, write = os.pipe()
    posix.widen_pipe(read, 1 << 20)
    os.set_blocking(write, False)
    assert os.write(write, b"x" * (1 << 19)) == 1 << 19
    os.close(read)
    os.close(write)
    with (tmp_path / "no pipe").open("wb") as file:
        posix.widen_pipe(file.fileno(), 1 << 20)
