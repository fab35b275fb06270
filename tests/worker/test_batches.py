"""What a batch keeps of what a runner tells."""

from __future__ import annotations

from pathlib import Path

from core.events import Checkpoint, Finished, Metrics, Progress
from worker.batches import Batch


def checkpoint(epoch: int) -> Checkpoint:
    return Checkpoint(epoch, epoch * 10, f"/c{epoch}", "c", f"/s{epoch}", "s", False, "validation.loss", 1.0)


def test_all_is_kept_in_order_but_progress_once() -> None:
    batch = Batch()
    rows = [Metrics(epoch, epoch, {"train.loss": 1.0}) for epoch in (1, 2)]
    progress = [Progress(epoch, 9, epoch, 9, None, None) for epoch in (1, 2)]
    end = Finished(None, None, {})
    for event in (rows[0], progress[0], checkpoint(1), rows[1], progress[1], checkpoint(2), end):
        batch.add(event)
    assert batch.last == end
    events, files = batch.take()
    assert events == [rows[0], checkpoint(1), rows[1], progress[1], checkpoint(2), end]
    assert files == [Path("/c1"), Path("/s1"), Path("/c2"), Path("/s2")]


def test_a_taken_batch_is_empty() -> None:
    batch = Batch()
    batch.add(checkpoint(1))
    assert batch.has(Checkpoint)
    assert not batch.has(Metrics)
    batch.take()
    assert batch.last is None
    assert batch.take() == ([], [])
