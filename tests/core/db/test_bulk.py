"""Rows that go in as text, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError

from core.db.bulk import insert_metrics
from core.db.session import Sessions, now, reading, transaction
from core.events import Metrics, MetricsLine, to_line
from core.services import metrics
from core.services.principal import LOCAL
from core.storage.database import DatabaseStore
from tests.support.training import House


def line(row: Metrics) -> MetricsLine:
    return MetricsLine(to_line("job_1", row))


@pytest.fixture
def house(sessions: Sessions, store: DatabaseStore, tmp_path: Path) -> House:
    return House(sessions, store, tmp_path)


def test_rows_come_back_as_they_went_in(house: House) -> None:
    job = house.submit()
    given = [
        Metrics(1, 5, {"a": 1 / 3, 'b\\"\n\t': None}, ('b\\"\n\t',), 1_700_000_000.5),
        Metrics(1, 6, {}, (), 0.0, fold=2),
    ]
    with transaction(house.sessions) as session:
        moment = now(session)
        insert_metrics(session, [(job.id, 7, [line(row) for row in given])], moment)
    with reading(house.sessions) as session:
        found = metrics.page(session, LOCAL, job.id).data
    assert [(row.seq, row.epoch, row.step, row.fold) for row in found] == [(7, 1, 5, None), (8, 1, 6, 2)]
    assert [(row.values, row.non_finite) for row in found] == [(dict(given[0].values), ['b\\"\n\t']), ({}, [])]
    assert [row.time.timestamp() for row in found] == [1_700_000_000.5, moment.timestamp()]


def test_more_rows_than_one_piece_come_in_order_with_their_times(house: House) -> None:
    job = house.submit()
    # fractions that round up to the next second, the same second again, and one a day later
    times = [1_700_000_000 + part for part in (0.9999999, 0.25, 86_400.000001, *range(1, 1200))]
    with transaction(house.sessions) as session:
        rows = [line(Metrics(1, step, {"a": step}, time=time)) for step, time in enumerate(times)]
        insert_metrics(session, [(job.id, 1, rows)], now(session))
    with reading(house.sessions) as session:
        first = metrics.page(session, LOCAL, job.id, limit=1000).data
        rest = metrics.page(session, LOCAL, job.id, after=1000).data
    found = [*first, *rest]
    assert [(row.seq, row.step, row.values) for row in found] == [(k + 1, k, {"a": k}) for k in range(len(times))]
    assert [row.time for row in found] == [datetime.fromtimestamp(time, UTC) for time in times]


def test_a_fault_is_told_as_every_other_is(house: House) -> None:
    job = house.submit()
    with transaction(house.sessions) as session:
        insert_metrics(session, [(job.id, 1, [line(Metrics(1, 1, {}))])], now(session))
    with pytest.raises(IntegrityError), transaction(house.sessions) as session:
        insert_metrics(session, [(job.id, 1, [line(Metrics(1, 1, {}))])], now(session))
    assert house.steps(job.id) == [(1, 1)]
