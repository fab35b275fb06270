"""Metrics and events by page, and fewer points with the same picture."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.db.session import reading
from core.events import Log, Metrics
from core.services import events, metrics
from core.services.principal import LOCAL
from core.services.thinning import thin
from tests.support.training import FINISHED, House, row

SERIES = st.lists(
    st.dictionaries(st.sampled_from(["a", "b", "c"]), st.one_of(st.none(), st.floats(-1e6, 1e6))), max_size=120
)


@given(SERIES, st.integers(1, 60))
@settings(max_examples=150, deadline=None)
def test_thinning_keeps_within_its_bounds(rows: list[dict[str, float | None]], max_points: int) -> None:
    places = thin(rows, max_points)
    assert len(places) <= max_points
    assert places == sorted(set(places))
    assert set(places) <= set(range(len(rows)))
    assert len(places) == min(len(rows), max_points)
    if len(rows) <= max_points:
        assert places == list(range(len(rows)))
    elif max_points > 1:
        assert {places[0], places[-1]} == {0, len(rows) - 1}
        names = {name for one in rows for name in one}
        if max_points >= 2 + 2 * len(names):
            for name in names:
                series = [value for one in rows if (value := one.get(name)) is not None]
                kept = [value for place in places if (value := rows[place].get(name)) is not None]
                if series:
                    assert (min(kept), max(kept)) == (min(series), max(series))


def test_a_spike_of_one_row_stays() -> None:
    rows: list[dict[str, float | None]] = [{"loss": math.sin(step / 50), "lr": 0.1} for step in range(10_000)]
    rows[4321]["loss"], rows[7777]["loss"] = 9.0, -9.0
    places = thin(rows, 200)
    assert {4321, 7777} <= set(places)
    assert len(places) > 60
    assert max(after - before for before, after in pairwise(places)) < 400


def test_hundreds_of_series_of_layers_leave_room_for_the_loss() -> None:
    rows: list[dict[str, float | None]] = [{"train.loss": math.sin(step / 50), "lr": 0.1} for step in range(3_000)]
    for step in range(0, 3_000, 20):
        rows[step] |= {f"layer.{index}.{stat}": step * index for index in range(40) for stat in "abcdefgh"}
    rows[1234]["train.loss"], rows[2345]["train.loss"] = 9.0, -9.0
    # the layers stand first in the rows
    places = thin([dict(reversed(one.items())) for one in rows], 300)
    assert len(places) == 300
    assert {1234, 2345} <= set(places)
    assert max(after - before for before, after in pairwise(places)) < 100


def test_what_tells_of_layers_and_what_does_not(house: House) -> None:
    job = house.submit()
    claim = house.take()
    mixed = {"train.loss": 0.5, "layer.0.dead": 0.25, "layer.1.gradient_norm": None}
    made = [Metrics(1, 1, {"layer.0.dead": 0.5}), Metrics(1, 2, mixed, ("layer.1.gradient_norm",)), row(3)]
    house.record(claim, *made)
    with reading(house.sessions) as session:
        layers = metrics.page(session, LOCAL, job.id, layers=True)
        others = metrics.page(session, LOCAL, job.id, layers=False)
    assert [(one.step, list(one.values)) for one in layers.data] == [
        (1, ["layer.0.dead"]),
        (2, ["layer.0.dead", "layer.1.gradient_norm"]),
    ]
    assert layers.data[1].non_finite == ["layer.1.gradient_norm"]
    assert [(one.step, list(one.values), one.non_finite) for one in others.data] == [
        (2, ["train.loss"], []),
        (3, ["train.loss"], []),
    ]
    assert layers.next_after == others.next_after == 3


def test_metrics_by_page(house: House) -> None:
    job = house.submit()
    claim = house.take()
    house.record(claim, *(row(step) for step in range(1, 8)))
    seen, after = [], 0
    with reading(house.sessions) as session:
        for _ in range(3):
            page = metrics.page(session, LOCAL, job.id, after=after, limit=3)
            assert not page.terminal
            seen += [one.seq for one in page.data]
            after = page.next_after
        assert seen == list(range(1, 8))
        empty = metrics.page(session, LOCAL, job.id, after=after)
        assert (empty.data, empty.next_after, empty.terminal) == ([], 7, False)
        assert metrics.page(session, LOCAL, job.id, after=1000).next_after == 1000
    house.record(claim, FINISHED, batch=2)
    with reading(house.sessions) as session:
        assert not metrics.page(session, LOCAL, job.id, limit=6).terminal
        assert metrics.page(session, LOCAL, job.id, limit=7).terminal
        assert metrics.page(session, LOCAL, job.id, after=7).terminal


def test_metrics_thinned(house: House) -> None:
    job = house.submit()
    chance = random.Random(0)
    rows = [row(step, train_loss=chance.random(), validation_loss=chance.random()) for step in range(1, 501)]
    house.record(house.take(), *rows)
    with reading(house.sessions) as session:
        page = metrics.page(session, LOCAL, job.id, max_points=50, limit=10)
    assert len(page.data) <= 50
    assert (page.data[0].seq, page.data[-1].seq, page.next_after) == (1, 500, 500)
    for name in ("train.loss", "validation.loss"):
        whole = [one.values[name] for one in rows]
        kept = [one.values[name] for one in page.data]
        assert (min(kept), max(kept)) == (min(whole), max(whole))  # type: ignore[type-var]


def test_events_by_page(house: House) -> None:
    job = house.submit()
    claim = house.take()
    house.record(claim, Log("one"), row(1), Log("two"))
    with reading(house.sessions) as session:
        first = events.page(session, LOCAL, job.id, limit=3)
        second = events.page(session, LOCAL, job.id, after=first.next_after)
    assert [event.seq for event in first.data + second.data] == list(range(1, 6))
    assert [event.type for event in first.data + second.data] == ["status", "status", "log", "metrics", "log"]
    assert second.data[0].data == {
        "seq": 1, "epoch": 1, "step": 1, "time": "2023-11-14T22:13:21.000000Z", "values": {"train.loss": 0.5},
        "non_finite": [],
    }  # fmt: skip
    house.record(claim, FINISHED, batch=2)
    with reading(house.sessions) as session:
        assert events.page(session, LOCAL, job.id).terminal
        assert events.page(session, LOCAL, job.id).data[-1].data == {"status": "succeeded"}


@pytest.mark.parametrize("after", [0, 5, 10**12])
def test_a_job_without_a_history(house: House, after: int) -> None:
    job = house.submit()
    with reading(house.sessions) as session:
        page = metrics.page(session, LOCAL, job.id, after=after, max_points=10)
    assert (page.data, page.next_after, page.terminal) == ([], after, False)
