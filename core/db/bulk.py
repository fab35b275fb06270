"""The history's rows, many in one statement: their values are stored as the JSON text that came over the pipe."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice

from sqlalchemy.orm import Session

from core.events import MetricsLine, row_parts

_SQLITE = (
    'INSERT INTO metrics (job_id, seq, epoch, step, fold, time, "values", non_finite) VALUES (?, ?, ?, ?, ?, ?, ?, ?)'
)
_POSTGRESQL = """COPY metrics (job_id, seq, epoch, step, fold, time, "values", non_finite) FROM STDIN (NULL '')"""
# the server writes these while the next are put into words
_ROWS_A_PIECE = 500


History = tuple[str, int, Sequence[MetricsLine]]
"""A job's id, rows of its history, and in between the number of the first."""
_Stored = tuple[str, int, str, str, str | None, str, str, str]
"""A row as it is stored: job, number; epoch, step, fold, time, values and names of what is not finite, as text."""


def insert_metrics(session: Session, histories: Iterable[History], now: datetime) -> None:
    """Appends rows to the histories of jobs, numbered from their first on; one without a time gets `now`."""
    told = [history for history in histories if history[2]]
    if not told:
        return
    connection, rows = session.connection(), _stored(told, now)
    is_sqlite = connection.dialect.name == "sqlite"
    statement, given = (_SQLITE, rows) if is_sqlite else (_POSTGRESQL, _pieces(rows))
    connection.exec_driver_sql(statement, (given,), execution_options={"netmill_bulk": True})


def _stored(histories: Iterable[History], now: datetime) -> Iterator[_Stored]:
    time_text = _Times(now)
    for job_id, first, rows in histories:
        for seq, row in enumerate(rows, start=first):
            epoch, step, names, time, fold, values = row_parts(row)
            yield job_id, seq, epoch, step, None if fold == "null" else fold, time_text(float(time)), values, names


def _pieces(rows: Iterator[_Stored]) -> Iterator[str]:
    """The rows as COPY reads them, some hundred at a time."""
    while piece := list(islice(rows, _ROWS_A_PIECE)):
        text = "".join(
            f"{job_id}\t{seq}\t{epoch}\t{step}\t{fold or ''}\t{time}+00\t{values}\t{names}\n"
            for job_id, seq, epoch, step, fold, time, values, names in piece
        )
        # COPY's own escape is the backslash, which stands in escapes of JSON
        yield text.replace("\\", "\\\\")


class _Times:
    """Unix times as text in UTC, to the microsecond; rows of one second have all but their fractions in common."""

    def __init__(self, now: datetime) -> None:
        self._now = now.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
        self._second = -1
        self._text = ""

    def __call__(self, time: float) -> str:
        """`now` for 0."""
        if not time:
            return self._now
        second, micros = divmod(round(time * 1e6), 1_000_000)
        if second != self._second:
            self._second, self._text = second, f"{datetime.fromtimestamp(second, UTC):%Y-%m-%d %H:%M:%S}"
        return f"{self._text}.{micros:06d}"
