"""The keeper starts again what dies, ends all in order, and leaves nothing behind: real processes, real signals."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from embedded.parts import FIRST_WAIT_S, LONGEST_WAIT_S, Part, Running

# runs the parts that argv[2] describes; says one line for each thing that the keeper says
KEEPER = """
import json, sys
from pathlib import Path
from embedded.keeper import Keeper
from embedded.parts import Part
from embedded.signals import noted

folder = Path(sys.argv[1])
parts = [Part(**part) for part in json.loads(sys.argv[2])]
say = lambda words: print(words, flush=True)
with noted() as stops:
    Keeper(parts, folder, stops, say).run(lambda: (folder / "up").exists(), lambda: say("ready"))
    say("stopped")
"""
STEADY = "import pathlib, time; pathlib.Path('up').touch(); time.sleep(100)"
# ignores SIGTERM, and says so by a file
STUBBORN = (
    "import pathlib, signal, time; signal.signal(15, signal.SIG_IGN); pathlib.Path('up').touch(); time.sleep(100)"
)
# leaves a child in a session of its own, as a worker's runners are
PARENT = "import subprocess; subprocess.Popen(['sleep', '99'], start_new_session=True); " + STEADY


@dataclass
class Kept:
    """A keeper in a process of its own."""

    process: subprocess.Popen[str]
    folder: Path

    def line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def rest(self, timeout_s: float = 20) -> list[str]:
        return self.process.communicate(timeout=timeout_s)[0].splitlines()

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)


@pytest.fixture
def keep(tmp_path: Path) -> Iterator[Callable[..., Kept]]:
    """Starts a keeper for parts given as name=(code, options)."""
    kept: list[Kept] = []

    def begin(**parts: Any) -> Kept:
        described = [
            {"name": name, "command": [sys.executable, "-c", code], **options}
            for name, (code, options) in parts.items()
        ]
        command = [sys.executable, "-c", KEEPER, str(tmp_path), json.dumps(described)]
        kept.append(Kept(subprocess.Popen(command, stdout=subprocess.PIPE, text=True), tmp_path))
        return kept[-1]

    yield begin
    for one in kept:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate()


def all_gone(processes: list[psutil.Process], timeout_s: float = 5) -> bool:
    return not psutil.wait_procs(processes, timeout=timeout_s)[1]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_nothing_is_left_however_it_ends(keep: Callable[..., Kept], how: signal.Signals) -> None:
    kept = keep(one=(STEADY, {}), two=(STEADY, {"last": True}))
    assert kept.line() == "ready"
    children = kept.children()
    assert len(children) == 2
    kept.process.send_signal(how)
    said = kept.rest()
    assert all_gone(children)
    assert said == ([] if how == signal.SIGKILL else ["stopped"])


def test_what_dies_is_started_again_and_said(keep: Callable[..., Kept]) -> None:
    kept = keep(one=(STEADY, {}))
    assert kept.line() == "ready"
    for wait in ("0.2", "0.4"):
        (victim,) = kept.children()
        victim.kill()
        assert kept.line().startswith(f"one was killed by SIGKILL; it starts again in {wait} s")
        while not kept.children():
            time.sleep(0.01)
        assert kept.children()[0].pid != victim.pid


def test_before_readiness_a_death_is_told_with_its_last_words(keep: Callable[..., Kept]) -> None:
    kept = keep(one=("raise SystemExit('no such database')", {}))
    assert kept.line().startswith("one ended with exit code 1")
    assert kept.line() == "no such database"
    kept.process.terminate()
    assert "stopped" in kept.rest()


def test_a_program_that_is_not_there_is_tried_again(keep: Callable[..., Kept]) -> None:
    kept = keep(one=("", {"command": ["/no/such/program"]}), two=(STEADY, {}))
    assert any(kept.line() == "ready" for _ in range(20))
    kept.process.terminate()
    assert kept.rest()[-1] == "stopped"


def test_who_does_not_end_in_time_is_killed(keep: Callable[..., Kept]) -> None:
    kept = keep(one=(STUBBORN, {"grace_s": 0.3}))
    assert kept.line() == "ready"
    children = kept.children()
    kept.process.terminate()
    assert kept.rest() == ["one did not end within 0 s and is killed", "stopped"]
    assert all_gone(children)


def test_a_second_signal_ends_the_patience(keep: Callable[..., Kept]) -> None:
    kept = keep(one=(STUBBORN, {"grace_s": 60}))
    assert kept.line() == "ready"
    began = time.monotonic()
    kept.process.send_signal(signal.SIGINT)
    kept.process.send_signal(signal.SIGTERM)
    assert kept.rest() == ["stopped"]
    assert time.monotonic() - began < 5


def test_children_of_children_are_adopted_and_ended(keep: Callable[..., Kept]) -> None:
    kept = keep(one=(PARENT, {}))
    assert kept.line() == "ready"
    victim, orphan = sorted(kept.children(), key=lambda process: process.create_time())
    victim.kill()
    assert "SIGKILL" in kept.line()
    assert orphan.ppid() == kept.process.pid
    kept.process.terminate()
    assert kept.rest()[-1] == "stopped"
    assert not orphan.is_running()


def test_the_last_part_ends_after_the_others(keep: Callable[..., Kept], tmp_path: Path) -> None:
    note = "import pathlib, signal, sys, time\ndef end(*_):\n    time.sleep({wait}); "
    note += "open('order', 'a').write('{name} '); sys.exit()\nsignal.signal(15, end)\n"
    note += "pathlib.Path('up{name}').touch(); time.sleep(100)"
    kept = keep(
        broker=(note.format(wait=0, name="broker"), {"last": True}), api=(note.format(wait=0.3, name="api"), {})
    )
    while not ((tmp_path / "upapi").exists() and (tmp_path / "upbroker").exists()):
        time.sleep(0.01)
    kept.process.terminate()
    assert kept.rest() == ["stopped"]
    assert (tmp_path / "order").read_text() == "api broker "


def test_waits_grow_to_a_limit_and_never_end(tmp_path: Path) -> None:
    running = Running(Part("one", ["false"]), tmp_path)
    waits = []
    for _ in range(12):
        running.start()
        while (words := running.ended()) is None:
            time.sleep(0.002)
        assert "exit code 1" in words
        waits.append(running.due - time.monotonic())
    assert waits[0] == pytest.approx(2 * FIRST_WAIT_S, abs=0.05)
    assert waits[1] == pytest.approx(4 * FIRST_WAIT_S, abs=0.05)
    assert waits[-1] == pytest.approx(LONGEST_WAIT_S, abs=0.05)


def test_a_log_that_has_grown_is_set_aside(tmp_path: Path) -> None:
    running = Running(Part("one", ["true"]), tmp_path)
    running.log.parent.mkdir()
    with running.log.open("wb") as log:
        log.truncate(11 * 1024 * 1024)
    running.start()
    assert running.gone_within(5)
    assert running.log.stat().st_size == 0
    assert running.log.with_suffix(".log.1").stat().st_size == 11 * 1024 * 1024
