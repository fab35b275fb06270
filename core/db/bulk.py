"""The history's rows, many in one statement: their values are stored as the JSON text that came over the pipe."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from core.events import Metrics, values_text

_SQLITE = (
    'INSERT INTO metrics (job_id, seq, epoch, step, fold, time, "values", non_finite) VALUES (?, ?, ?, ?, ?, ?, ?, ?)'
)
_POSTGRESQL = """COPY metrics (job_id, seq, epoch, step, fold, time, "values", non_finite) FROM STDIN (NULL '')"""


History = tuple[str, int, Sequence[Metrics]]
"""A job's id, rows of its history, and in between the number of the first."""


def insert_metrics(session: Session, histories: Iterable[History], now: datetime) -> None:
    """Appends rows to the histories of jobs, numbered from their first on; one without a time gets `now`."""
    connection = session.connection()
    numbered = [(job_id, seq, row) for job_id, first, rows in histories for seq, row in enumerate(rows, start=first)]
    if not numbered:
        return
    if connection.dialect.name == "sqlite":
        given = [
            # a time is stored there without its zone
            (job_id, seq, r.epoch, r.step, r.fold, _time(r, now)[:26], values_text(r), _names(r))
            for job_id, seq, r in numbered
        ]
        connection.exec_driver_sql(_SQLITE, given)
        return
    lines = "".join(
        f"{job_id}\t{seq}\t{r.epoch}\t{r.step}\t{'' if r.fold is None else r.fold}\t{_time(r, now)}\t"
        f"{values_text(r)}\t{_names(r)}\n"
        for job_id, seq, r in numbered
    )
    # COPY's own escape is the backslash, which stands in escapes of JSON
    text = lines.replace("\\", "\\\\")
    connection.exec_driver_sql(_POSTGRESQL, (text,), execution_options={"netmill_copy": True})


def _time(row: Metrics, now: datetime) -> str:
    moment = datetime.fromtimestamp(row.time, UTC) if row.time else now
    return moment.isoformat(" ", "microseconds")


def _names(row: Metrics) -> str:
    return json.dumps(row.non_finite) if row.non_finite else "[]"
