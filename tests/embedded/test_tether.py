"""A tethered program ends with the process that started it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil

from embedded.parts import TETHER

# starts a tethered sleep and says its pid
PARENT = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-I", "-S", sys.argv[1], str(os.getpid()), "sleep", "77"])
while open(f"/proc/{child.pid}/comm").read().strip() != "sleep":
    time.sleep(0.005)
print(child.pid, flush=True)
time.sleep(60)
"""


def test_it_dies_with_its_killed_parent() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(TETHER)], stdout=subprocess.PIPE)
    assert parent.stdout
    child = psutil.Process(int(parent.stdout.readline()))
    assert child.cmdline() == ["sleep", "77"]
    parent.kill()
    parent.communicate()
    gone, alive = psutil.wait_procs([child], timeout=5)
    assert gone
    assert not alive


def test_it_does_not_start_for_a_parent_that_has_gone(tmp_path: Path) -> None:
    proof = tmp_path / "started"
    stranger = 1 if os.getpid() != 1 else 2
    done = subprocess.run([sys.executable, "-I", "-S", str(TETHER), str(stranger), "touch", str(proof)], check=False)
    assert done.returncode == 127
    assert not proof.exists()


def test_it_gives_the_program_its_arguments_and_environment() -> None:
    command = [
        sys.executable,
        "-I",
        "-S",
        str(TETHER),
        str(os.getpid()),
        "sh",
        "-c",
        'echo "$1-$NETMILL_X"',
        "sh",
        "a b",
    ]
    done = subprocess.run(command, env={**os.environ, "NETMILL_X": "y"}, capture_output=True, check=True)
    assert done.stdout == b"a b-y\n"
