"""The history's rows, many in one statement: their values are stored as the JSON text that came over the pipe."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from core.events import Metrics, values_text

_SQLITE = (
    'INSERT INTO metrics (job_id, seq, epoch, step, fold, time, "values", non_finite) VALUES (?, ?, ?, ?, ?, ?, ?, ?)'
)
_POSTGRESQL = """COPY metrics (job_id, seq, epoch, step, fold, time, "values", non_finite) FROM STDIN (NULL '')"""


def insert_metrics(session: Session, job_id: str, first_seq: int, rows: Sequence[Metrics], now: datetime) -> None:
    """Appends rows to a job's history, numbered from `first_seq` on; one without a time gets `now`."""
    connection = session.connection()
    if connection.dialect.name == "sqlite":
        given = [
            # a time is stored there without its zone
            (job_id, seq, r.epoch, r.step, r.fold, _time(r, now)[:26], values_text(r), _names(r))
            for seq, r in enumerate(rows, start=first_seq)
        ]
        connection.exec_driver_sql(_SQLITE, given)
        return
    lines = "".join(
        f"{job_id}\t{seq}\t{r.epoch}\t{r.step}\t{'' if r.fold is None else r.fold}\t{_time(r, now)}\t"
        f"{values_text(r)}\t{_names(r)}\n"
        for seq, r in enumerate(rows, start=first_seq)
    )
    # COPY's own escape is the backslash, which stands in escapes of JSON
    text = lines.replace("\\", "\\\\")
    connection.exec_driver_sql(_POSTGRESQL, (text,), execution_options={"netmill_copy": True})


def _time(row: Metrics, now: datetime) -> str:
    moment = datetime.fromtimestamp(row.time, UTC) if row.time else now
    return moment.isoformat(" ", "microseconds")


def _names(row: Metrics) -> str:
    return json.dumps(row.non_finite) if row.non_finite else "[]"
