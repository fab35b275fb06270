"""The history of a job, by page or thinned for a plot."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Text, bindparam, cast, select
from sqlalchemy.orm import Session

from core.clock import to_rfc3339
from core.db.tables import Metric
from core.services.jobs import find
from core.services.principal import Principal
from core.services.thinning import is_of_layer, thin
from core.states import TERMINAL


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One row; a number that is not finite is None in `values` and named in `non_finite`."""

    seq: int
    epoch: int
    step: int
    time: datetime
    values: dict[str, float | None]
    non_finite: list[str]
    fold: int | None = None


@dataclass(frozen=True, slots=True)
class MetricsPage:
    """Some rows; `terminal` says that the job is over and the page reaches its last row. `version` is the job's."""

    data: list[MetricRow]
    next_after: int
    terminal: bool
    version: int


def page(
    session: Session,
    principal: Principal,
    job_id: str,
    *,
    after: int = 0,
    limit: int = 1000,
    max_points: int | None = None,
    layers: bool | None = None,
) -> MetricsPage:
    """The rows with a number above `after`, oldest first.

    With `max_points` all of them to the end, thinned to at most so many: first, last and every series' extremes stay.
    `layers`: what tells of layers alone, or what does not; None for both. Rows of which nothing is left are left out.
    """
    job = find(session, principal, job_id)
    shown = (Metric.seq, Metric.epoch, Metric.step, Metric.time, Metric.values, Metric.non_finite, Metric.fold)
    query = select(*shown)
    query = query.where(Metric.job_id == job.id, Metric.seq > after).order_by(Metric.seq)
    # numbers have no holes: a range ends where a LIMIT would, and no plan reads more than the page
    rows = session.execute(query if max_points else query.where(Metric.seq <= after + limit)).all()
    next_after = rows[-1].seq if rows else after
    data = [MetricRow(*row) for row in rows]
    if layers is not None:
        data = [part for row in data if (part := _part(row, layers=layers)).values]
    if max_points:
        data = [data[place] for place in thin([row.values for row in data], max_points)]
    return MetricsPage(data, next_after, job.status in TERMINAL and next_after >= job.metric_seq, job.version)


@dataclass(frozen=True, slots=True)
class ToldPage:
    """As `MetricsPage`; each row is the text of a JSON object with the names of `MetricRow`."""

    rows: list[str]
    next_after: int
    terminal: bool


def told(session: Session, principal: Principal, job_id: str, *, after: int = 0, limit: int = 1000) -> ToldPage:
    """The rows with a number above `after` as their reader gets them.

    Values are passed on as they stand in the database: to read them and to write them again takes longer than all else.
    """
    job = find(session, principal, job_id)
    found = session.connection().execute(_TOLD, {"job": job.id, "after": after, "last": after + limit}).all()
    next_after = found[-1].seq if found else after
    return ToldPage([_text(row) for row in found], next_after, job.status in TERMINAL and next_after >= job.metric_seq)


# built once: to build it takes longer than to run it
_TOLD = (
    select(Metric.seq, Metric.epoch, Metric.step, Metric.time, Metric.fold)
    .add_columns(cast(Metric.values, Text).label("values"), cast(Metric.non_finite, Text).label("non_finite"))
    .where(Metric.job_id == bindparam("job"), Metric.seq > bindparam("after"), Metric.seq <= bindparam("last"))
    .order_by(Metric.seq)
)


def _text(row: Row[Any]) -> str:
    seq, epoch, step, time, fold, values, non_finite = tuple(row)
    return (
        f'{{"seq":{seq},"epoch":{epoch},"step":{step},"time":"{to_rfc3339(time)}","values":{values},'
        f'"non_finite":{non_finite},"fold":{"null" if fold is None else fold}}}'
    )


def _part(row: MetricRow, *, layers: bool) -> MetricRow:
    """The row with the values that tell of layers alone, or with all others."""
    values = {name: value for name, value in row.values.items() if is_of_layer(name) == layers}
    return replace(row, values=values, non_finite=[name for name in row.non_finite if name in values])
