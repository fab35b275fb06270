"""A row of the history is stored once; the events that tell of it are given one by one, and stay as they were told."""

from __future__ import annotations

import json
from dataclasses import asdict

from sqlalchemy import delete, select

from core.clock import to_rfc3339
from core.db.session import reading, transaction
from core.db.tables import Job, JobEvent, Metric
from core.events import Log, Metrics, from_line, to_line
from core.services import events, metrics
from core.services.lifecycle import announce
from core.services.principal import LOCAL
from tests.support.training import FINISHED, House, row, started


def stored(house: House, job_id: str) -> list[dict[str, object]]:
    """The data of the stored events of rows."""
    with reading(house.sessions) as session:
        query = select(JobEvent.data).where(JobEvent.job_id == job_id, JobEvent.type == "metrics")
        return list(session.scalars(query.order_by(JobEvent.seq)))


def test_rows_between_two_other_events_are_one_stored_event(house: House) -> None:
    job = house.submit()
    claim = house.take()
    house.record(claim, *map(row, range(1, 51)), Log("half"), *map(row, range(51, 101)))
    assert stored(house, job.id) == [{"first": 1, "last": 50}, {"first": 51, "last": 100}]
    assert [data["seq"] for data in house.told(job.id, "metrics")] == list(range(1, 101))


def test_an_event_tells_its_row(house: House) -> None:
    job = house.submit()
    given = Metrics(
        2, 30, {"train.loss": None, 'layer."\\n"': 0.1 + 0.2}, ("train.loss",), 1_700_000_000.123456, fold=1
    )
    house.record(house.take(), from_line(to_line(job.id, given))[1])
    values = {"train.loss": None, 'layer."\\n"': 0.1 + 0.2}
    assert house.told(job.id, "metrics") == [
        {
            "seq": 1, "epoch": 2, "step": 30, "fold": 1, "time": "2023-11-14T22:13:20.123456Z",
            "values": values, "non_finite": ["train.loss"],
        }
    ]  # fmt: skip
    with reading(house.sessions) as session:
        (found,) = metrics.page(session, LOCAL, job.id).data
    assert (found.values, found.non_finite, found.fold) == (values, ["train.loss"], 1)
    assert found.time.isoformat() == "2023-11-14T22:13:20.123456+00:00"


def test_a_page_as_text_is_the_page(house: House) -> None:
    job = house.submit()
    claim = house.take()
    odd = Metrics(2, 30, {"train.loss": None, 'lo"\\\n<ü>': 1e-300}, ("train.loss",), 1_700_000_000.123456, fold=1)
    house.record(claim, started(), row(1), from_line(to_line(job.id, odd))[1], *map(row, range(31, 35)))
    for ended in (False, True):
        with reading(house.sessions) as session:
            for after, limit in ((0, 1000), (0, 2), (1, 3), (4, 9), (6, 9), (99, 9)):
                page = metrics.page(session, LOCAL, job.id, after=after, limit=limit)
                told = metrics.told(session, LOCAL, job.id, after=after, limit=limit)
                assert [json.loads(text) for text in told.rows] == [
                    {**asdict(one), "time": to_rfc3339(one.time)} for one in page.data
                ]
                assert (told.next_after, told.terminal) == (page.next_after, page.terminal)
        if not ended:
            house.record(claim, FINISHED, batch=2)


def test_pages_of_any_size_join_without_a_gap(house: House) -> None:
    job = house.submit()
    claim = house.take()
    house.record(claim, started(), *map(row, range(1, 8)), house.checkpoint(7), *map(row, range(8, 12)), batch=1)
    house.crash(claim)
    house.record(house.take(), started(), *map(row, range(8, 15)), FINISHED)
    with reading(house.sessions) as session:
        whole = events.page(session, LOCAL, job.id)
        for limit in (1, 2, 3, 5, 100):
            found, after, terminal = [], 0, False
            while not terminal:
                page = events.page(session, LOCAL, job.id, after=after, limit=limit)
                assert len(page.data) <= limit
                found += page.data
                after, terminal = page.next_after, page.terminal
            assert found == whole.data
    assert [event.seq for event in whole.data] == list(range(1, len(whole.data) + 1))


def test_what_was_told_of_rows_that_come_out_otherwise_stays(house: House) -> None:
    job = house.submit()
    claim = house.take()
    house.record(claim, started(), row(1), house.checkpoint(1), row(2, train_loss=0.5), row(3, train_loss=0.4))
    house.crash(claim)
    # between the two runs nothing that was told is missing
    assert [data["values"]["train.loss"] for data in house.told(job.id, "metrics")] == [0.5, 0.5, 0.4]
    house.record(house.take(), started(exact=False), row(2, train_loss=0.7), row(3, train_loss=0.6), FINISHED)
    told = [(data["seq"], data["values"]["train.loss"]) for data in house.told(job.id, "metrics")]
    assert told == [(1, 0.5), (2, 0.5), (3, 0.4), (2, 0.7), (3, 0.6)]


def test_a_row_that_is_taken_back_in_this_moment_ends_the_page(house: House) -> None:
    job = house.submit()
    house.record(house.take(), *map(row, range(1, 6)))
    with transaction(house.sessions) as session:
        session.execute(delete(Metric).where(Metric.job_id == job.id, Metric.seq > 3))
    told = house.told(job.id, "metrics")
    assert [data["seq"] for data in told] == [1, 2, 3]


def test_events_of_the_first_version_hold_their_row(house: House) -> None:
    job = house.submit()
    held = {"seq": 1, "epoch": 1, "step": 1, "time": "2026-01-01T00:00:00Z", "values": {"lr": 0.1}, "non_finite": []}
    with transaction(house.sessions) as session:
        mine = session.get_one(Job, job.id)
        announce(session, mine, [("metrics", held)])
    assert house.told(job.id, "metrics") == [held]
