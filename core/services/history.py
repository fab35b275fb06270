"""How the history's rows and the events that tell of them are stored: each row once.

A stored event of type `metrics` stands for a stretch of rows, `{"first": 101, "last": 600}`, for an event each; the
last one has the stored number. Rows that a run takes back (it begins again behind a checkpoint) may come out otherwise
the next time, so their events take a copy first, `{"rows": [...]}`: what was told stays told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from core.clock import to_rfc3339
from core.db.tables import Job, JobEvent, Metric

Data = dict[str, Any]


@dataclass(frozen=True, slots=True)
class EventRow:
    """One event: `status`, `metrics`, `checkpoint`, `warning`, `log` or `change`."""

    seq: int
    type: str
    time: datetime
    data: Data


def stretch(first: int, last: int) -> tuple[str, Data]:
    """The stored event of the rows numbered `first` to `last`."""
    return "metrics", {"first": first, "last": last}


def count(kind: str, data: Data) -> int:
    """How many events a stored one stands for."""
    return int(data["last"] - data["first"]) + 1 if _is_stretch(kind, data) else 1


def _is_stretch(kind: str, data: Data) -> bool:
    # of the first version each event of a row has the row itself
    return kind == "metrics" and "first" in data


def take_back(session: Session, job: Job, step: int) -> None:
    """Deletes the rows behind `step` of a locked job; a run records them again under the same numbers."""
    first = session.scalar(select(func.min(Metric.seq)).where(Metric.job_id == job.id, Metric.step > step))
    if first is not None:
        _keep_told(session, job, first)
        session.execute(delete(Metric).where(Metric.job_id == job.id, Metric.step > step))
    job.metric_seq = session.scalar(select(func.max(Metric.seq)).where(Metric.job_id == job.id)) or 0


def _keep_told(session: Session, job: Job, first: int) -> None:
    """Events of rows from number `first` on take a copy of them."""
    query = select(JobEvent).where(JobEvent.job_id == job.id, JobEvent.type == "metrics")
    for event in session.scalars(query.order_by(JobEvent.seq.desc())).all():
        if not _is_stretch(event.type, event.data):
            continue
        if event.data["last"] < first:
            return
        event.data = {"rows": list(_rows(session, job.id, event.data["first"], event.data["last"]).values())}


def _rows(session: Session, job_id: str, first: int, last: int) -> dict[int, Data]:
    """The rows with these numbers as events tell them."""
    shown = (Metric.seq, Metric.epoch, Metric.step, Metric.time, Metric.values, Metric.non_finite, Metric.fold)
    query = select(*shown).where(Metric.job_id == job_id, Metric.seq.between(first, last)).order_by(Metric.seq)
    told = {}
    for seq, epoch, step, time, values, non_finite, fold in session.execute(query):
        fields = {"seq": seq, "epoch": epoch, "step": step} | ({} if fold is None else {"fold": fold})
        told[seq] = fields | {"time": to_rfc3339(time), "values": values, "non_finite": non_finite}
    return told


def read_events(session: Session, job_id: str, after: int, limit: int) -> list[EventRow]:
    """The events with a number above `after`, at most `limit`, oldest first."""
    query = select(JobEvent.seq, JobEvent.type, JobEvent.time, JobEvent.data)
    query = query.where(JobEvent.job_id == job_id, JobEvent.seq > after).order_by(JobEvent.seq).limit(limit)
    stored = [EventRow(*row) for row in session.execute(query)]
    rows = _wanted_rows(session, job_id, stored, after, limit)
    return list(_told_apart(stored, rows, after))[:limit]


def _wanted_rows(
    session: Session, job_id: str, stored: Sequence[EventRow], after: int, limit: int
) -> Mapping[int, Data]:
    """The rows that stored events refer to, as far as events `after` + 1 to `after` + `limit` go."""
    wanted: list[int] = []
    for event in stored:
        if _is_stretch(event.type, event.data):
            # row number = event number - shift
            shift = event.seq - event.data["last"]
            first, last = max(event.data["first"], after + 1 - shift), min(event.data["last"], after + limit - shift)
            wanted += [first, last] if first <= last else []
    return _rows(session, job_id, min(wanted), max(wanted)) if wanted else {}


def _told_apart(stored: Sequence[EventRow], rows: Mapping[int, Data], after: int) -> Iterator[EventRow]:
    """The events one by one; a row that was just taken back ends the page: its copy is there at the next look."""
    for event in stored:
        parts: list[Data | None] = [event.data]
        if _is_stretch(event.type, event.data):
            parts = [rows.get(number) for number in range(event.data["first"], event.data["last"] + 1)]
        elif event.type == "metrics" and "rows" in event.data:
            parts = event.data["rows"]
        for seq, data in enumerate(parts, start=event.seq - len(parts) + 1):
            if data is None and seq > after:
                return
            if data is not None and seq > after:
                yield EventRow(seq, event.type, event.time, data)
