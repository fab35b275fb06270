"""What a person sees while a job trains."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from netmill import JobFailedError, follow
from netmill.words import ago, duration, number, size
from tests.sdk.conftest import Reply, Script, Seen, job_body


def training(outcome: str = "succeeded", times: int = 1) -> Any:
    """A service whose job is one epoch further every so many `times` that it is asked, over after three."""
    state = {"asked": 0, "epoch": 0}

    def answer(seen: Seen) -> Reply:
        if "/events" in seen.path:
            return Reply(200, page(state["epoch"], seen))
        state["asked"] += 1
        epoch = state["epoch"] = -(-state["asked"] // times)
        over = epoch > 3
        progress = {"epoch": min(epoch, 3), "epochs": 3, "eta_s": 75.0}
        error = {"code": "diverged", "detail": "loss is inf"} if over and outcome == "failed" else None
        status = outcome if over else ("queued" if epoch == 1 else "running")
        return Reply(200, job_body(status=status, terminal=over, progress=progress, error=error, queue_position=4))

    return answer


def page(epoch: int, seen: Seen) -> dict[str, Any]:
    after = int(seen.path.partition("after=")[2].partition("&")[0])
    metrics = {"values": {"train.loss": 0.5 / epoch, "validation.loss": None, "validation.auc": 0.75, "lr": 1}}
    warned = {"code": "lr_too_high", "pointer": "/optimizer/lr", "detail": "look [out]"}
    events = [{"seq": 1, "type": "warning", "data": warned}, {"seq": 2, "type": "metrics", "data": metrics}]
    data = [event for event in events if event["seq"] > after]
    return {"data": data, "next_after": data[-1]["seq"] if data else after, "terminal": False}


def followed(script: Script, outcome: str, *, terminal: bool, times: int = 1) -> str:
    script.route(training(outcome, times))
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=140)
    script.client().job("job_1").follow(console)
    return out.getvalue()


def test_a_bar_on_a_terminal(script: Script) -> None:
    shown = followed(script, "succeeded", terminal=True)
    for part in (
        "queued (place 4)",
        "running",
        "succeeded",
        "3/3",
        "train.loss",
        "validation.auc 0.75",
        "1 min 15 s left",
    ):
        assert part in shown, part
    assert "warning lr_too_high at /optimizer/lr: look [out]" in shown


def test_plain_lines_elsewhere(script: Script) -> None:
    lines = followed(script, "succeeded", terminal=False).splitlines()
    assert lines[0] == "warning lr_too_high at /optimizer/lr: look [out]"
    assert [line.split("  ")[1] for line in lines[1:]] == ["queued (place 4)", "running", "succeeded"]
    assert lines[-1].startswith("job_1  succeeded  epoch 3/3  train.loss 0.5  validation.loss -  validation.auc 0.75")
    assert not any("\x1b" in line for line in lines)


def test_a_failure_is_raised_after_it_was_shown(script: Script) -> None:
    with pytest.raises(JobFailedError, match="loss is inf"):
        followed(script, "failed", terminal=False)


def test_each_event_is_asked_for_once(script: Script) -> None:
    followed(script, "succeeded", terminal=False)
    asked = [seen.path for seen in script.seen if "/events" in seen.path]
    assert [path.partition("after=")[2].partition("&")[0] for path in asked] == ["0", "2", "2", "2"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (12.4, "12 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_numbers_sizes_and_times() -> None:
    assert [number(value) for value in (0.123456, 1e-9, 12345, None, "x", True)] == [
        "0.1235", "1e-09", "12345", "-", "x", "True",
    ]  # fmt: skip
    assert [size(value) for value in (0, 1023, 1536, 5 << 30)] == ["0 B", "1023 B", "1.5 KiB", "5.0 GiB"]
    now = datetime(2026, 11, 23, 16, tzinfo=UTC)
    assert ago(now - timedelta(minutes=3), now) == "3 min 0 s ago"
    assert ago(now + timedelta(seconds=3), now) == "0.0 s ago"
    assert ago(None) == "-"


def test_lines_are_not_repeated_while_nothing_happens(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "LINE_EVERY_S", 0.0)
    lines = followed(script, "succeeded", terminal=False, times=5).splitlines()
    assert [line.split("  ")[2] for line in lines[1:]] == [f"epoch {n}/3" for n in (1, 2, 3, 3)]
