"""Analyses between an asker and workers that never meet: asked once, answered once, whoever dies on the way."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from core.db.session import reading, transaction
from core.db.tables import Analysis, Blob, Job
from core.errors import Conflict, Invalid, NotFound, QuotaExceeded
from core.ids import uuid7_hex
from core.services import analyses, answering, checkpoints, jobs, sweeping, usage
from core.services.analyses import AnalysisView
from core.services.answering import Taken
from core.services.principal import LOCAL, Principal
from core.spec.limits import Limits
from tests.support.training import FINISHED, House

CONFUSION = {"type": "confusion"}


@pytest.fixture
def job_id(house: House) -> str:
    job = house.submit()
    house.record(house.take(), house.checkpoint(2), house.checkpoint(1, is_best=True), FINISHED)
    return job.id


def ask(
    house: House, job_id: str, who: Principal = LOCAL, limits: Limits | None = None, **request: Any
) -> tuple[AnalysisView, bool]:
    with transaction(house.sessions) as session:
        return analyses.ask(session, who, job_id, {**CONFUSION, **request}, limits or Limits())


def take(house: House, worker: str = "w", lease_s: float = 30.0) -> Taken | None:
    with transaction(house.sessions) as session:
        return answering.take(session, house.store, worker_id=worker, lease_s=lease_s)


def taken(house: House, worker: str = "w") -> Taken:
    found = take(house, worker)
    assert found is not None
    return found


def file_of(house: House, data: Any) -> Path:
    path = house.folder / uuid7_hex()
    path.write_bytes(gzip.compress(json.dumps(data).encode(), mtime=0))
    return path


def answer(house: House, held: Taken, data: Any) -> bool:
    with transaction(house.sessions) as session:
        return answering.answer(session, house.store, held, file_of(house, data))


def read(house: House, view: AnalysisView, who: Principal = LOCAL) -> AnalysisView:
    with reading(house.sessions) as session:
        return analyses.get(session, who, view.id, job_id=view.job_id)


def expire(house: House, view: AnalysisView) -> None:
    with transaction(house.sessions) as session:
        row = session.get_one(Analysis, view.id)
        assert row.lease_until is not None
        row.lease_until -= timedelta(minutes=2)


def count(house: House, table: Any) -> int:
    with reading(house.sessions) as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def test_an_analysis_is_answered_and_the_same_one_is_never_computed_twice(house: House, job_id: str) -> None:
    view, is_new = ask(house, job_id)
    best = house.job(job_id).best_checkpoint
    assert (is_new, view.status, view.type, view.checkpoint_id, view.over) == (True, "queued", "confusion", best, False)
    assert view.request["split"] == "test", "the request has every default"
    assert ask(house, job_id) == (view, False)
    assert ask(house, job_id, checkpoint=best) == (view, False), "best is that checkpoint"
    held = taken(house)
    with reading(house.sessions) as session:
        chosen = checkpoints.choose(session, LOCAL, job_id, "best")
        assert analyses.statuses(session, [view.id, "ana_x"]) == {view.id: "running"}
        assert analyses.statuses(session, []) == {}
    assert (held.id, held.content_sha256, held.request) == (view.id, chosen.sha256, view.request)
    assert held.schema
    assert held.spec
    assert held.data
    assert held.spec["data"]["dataset"] == "iris"
    assert (held.data.name, held.data.sha256) == ("iris", None)
    assert held.trajectory == (), "a path is read where it is asked for"
    assert answer(house, held, {"type": "confusion", "rate": None})
    assert not answer(house, held, {"type": "confusion"}), "once"
    done = read(house, view)
    assert (done.status, done.over) == ("succeeded", True)
    assert done.finished_at is not None
    assert done.finished_at >= done.created_at
    assert analyses.read_data(house.store, done) == {"type": "confusion", "rate": None}
    assert analyses.read_data(house.store, view) is None
    assert ask(house, job_id) == (done, False)
    assert ask(house, job_id, normalize="all")[1], "another request"
    assert ask(house, job_id, checkpoint="last")[1], "another checkpoint"


def test_an_analysis_is_refused_and_may_be_asked_again(house: House, job_id: str) -> None:
    view, _ = ask(house, job_id)
    error = {"code": "wrong_layer", "detail": "no such layer", "hint": None, "errors": []}
    with transaction(house.sessions) as session:
        assert answering.refuse(session, house.store, taken(house), error)
    failed = read(house, view)
    assert (failed.status, failed.error, failed.over) == ("failed", error, True)
    again, is_new = ask(house, job_id)
    assert is_new
    assert again.id != view.id


def test_two_who_ask_the_same_at_once_get_one_row(house: House, job_id: str) -> None:
    with ThreadPoolExecutor(6) as threads:
        asked = list(threads.map(lambda _: ask(house, job_id), range(12)))
    assert len({view.id for view, _ in asked}) == 1
    assert sum(is_new for _, is_new in asked) == 1
    assert count(house, Analysis) == 1


def test_each_is_taken_once(house: House, job_id: str) -> None:
    asked = {ask(house, job_id, seed=seed)[0].id for seed in range(12)}
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda n: [t for _ in range(4) if (t := take(house, f"w{n}"))], range(4)))
    assert Counter(one.id for mine in found for one in mine) == Counter(asked)
    assert take(house) is None


def test_a_dead_worker_s_analysis_is_taken_again_and_its_late_answer_is_refused(house: House, job_id: str) -> None:
    view, _ = ask(house, job_id)
    dead = taken(house, "dead")
    assert take(house, "alive") is None
    expire(house, view)
    alive = taken(house, "alive")
    assert (alive.id, alive.fence) == (dead.id, dead.fence + 1)
    assert not answer(house, dead, {"by": "dead"})
    with transaction(house.sessions) as session:
        assert not answering.renew(session, dead, 30)
        assert answering.renew(session, alive, 30)
        assert answering.crashed(session, house.store, dead, "late") == "gone"
        assert not answering.refuse(session, house.store, dead, {"code": "late"})
    assert answer(house, alive, {"by": "alive"})
    assert analyses.read_data(house.store, read(house, view)) == {"by": "alive"}


def test_the_same_worker_after_its_lease_ran_out_does_not_answer_for_its_older_self(house: House, job_id: str) -> None:
    view, _ = ask(house, job_id)
    first = taken(house)
    expire(house, view)
    second = taken(house)
    assert not answer(house, first, {"n": 1})
    assert answer(house, second, {"n": 2})


def test_what_kills_its_process_twice_is_failed_with_the_reason(house: House, job_id: str) -> None:
    view, _ = ask(house, job_id)
    for status in ("queued", "failed"):
        with transaction(house.sessions) as session:
            assert answering.crashed(session, house.store, taken(house), "killed by signal 9") == status
    failed = read(house, view)
    assert failed.error is not None
    assert failed.error["code"] == "worker_lost"
    assert "died 2 times" in failed.error["detail"]
    assert "killed by signal 9" in failed.error["detail"]
    assert take(house) is None


def test_what_kills_workers_is_failed_too(house: House, job_id: str) -> None:
    view, _ = ask(house, job_id)
    behind, _ = ask(house, job_id, seed=1)
    for _ in range(2):
        assert taken(house).id == view.id
        expire(house, view)
    assert taken(house).id == behind.id, "the poison is out of the way"
    assert read(house, view).status == "failed"


@pytest.mark.parametrize(("died", "crashes"), [(True, 1), (False, 0)])
def test_a_worker_that_ends_gives_back_what_it_holds(house: House, job_id: str, died: bool, crashes: int) -> None:
    view, _ = ask(house, job_id)
    taken(house, "w")
    with transaction(house.sessions) as session:
        answering.release(session, house.store, "another", died=died)
    assert take(house, "next") is None
    with transaction(house.sessions) as session:
        answering.release(session, house.store, "w", died=died)
        assert session.get_one(Analysis, view.id).crashes == crashes
    assert taken(house, "next").id == view.id


def test_the_model_is_held_until_there_is_an_answer(house: House) -> None:
    """Retention replaces the checkpoint of a running job; the analysis of it goes on all the same."""
    job = house.submit(checkpoints={"keep_best": False})
    claim = house.take()
    house.record(claim, house.checkpoint(1))
    view, _ = ask(house, job.id, checkpoint="last")
    held = taken(house)
    house.record(claim, house.checkpoint(2), batch=2)
    assert held.content_sha256
    assert b"".join(house.store.open_range(held.content_sha256)) == b"content 1"
    assert answer(house, held, {"ok": True})
    with pytest.raises(NotFound):
        b"".join(house.store.open_range(held.content_sha256))
    assert read(house, view).status == "succeeded"


def test_asking_while_checkpoints_are_replaced_always_finds_a_model(house: House) -> None:
    job = house.submit(checkpoints={"keep_best": False})
    claim = house.take()
    house.record(claim, house.checkpoint(1))

    def replace() -> None:
        for step in range(2, 22):
            house.record(claim, house.checkpoint(step), batch=step)

    with ThreadPoolExecutor(1) as threads:
        replacing = threads.submit(replace)
        for seed in range(15):
            ask(house, job.id, checkpoint="last", seed=seed)
        replacing.result()
    while (held := take(house)) is not None:
        assert held.content_sha256
        assert b"".join(house.store.open_range(held.content_sha256)).startswith(b"content ")
        assert answer(house, held, {})


def test_all_goes_with_its_job(house: House, job_id: str, stranger: Principal) -> None:
    ask(house, job_id)
    answer(house, taken(house), {"big": list(range(1000))})
    ask(house, job_id, seed=1)
    with reading(house.sessions) as session:
        stored = {row.project: row.bytes_stored for row in usage.by_project(session, stranger)}
        blobs = session.scalar(select(func.sum(Blob.bytes)))
    assert stored["default"] == blobs, "the answer's bytes are counted"
    with transaction(house.sessions) as session:
        jobs.delete(session, house.store, LOCAL, job_id)
    assert count(house, Analysis) == count(house, Blob) == 0


def test_one_can_be_deleted_while_it_is_computed(house: House, job_id: str) -> None:
    view, _ = ask(house, job_id)
    held = taken(house)
    with transaction(house.sessions) as session:
        analyses.delete(session, house.store, LOCAL, view.id, job_id=job_id)
    with transaction(house.sessions) as session:
        assert not answering.renew(session, held, 30)
    assert not answer(house, held, {})
    with pytest.raises(NotFound):
        read(house, view)
    done, _ = ask(house, job_id)
    answer(house, taken(house), {"unique": 1})
    with transaction(house.sessions) as session:
        analyses.delete(session, house.store, LOCAL, done.id, job_id=job_id)
    assert count(house, Blob) == 4, "content and state of two checkpoints"


def test_a_list_goes_on_page_by_page(house: House, job_id: str) -> None:
    ids = [ask(house, job_id, seed=seed)[0].id for seed in range(5)]
    seen: list[str] = []
    cursor = None
    for _ in range(3):
        with reading(house.sessions) as session:
            page = analyses.list_analyses(session, LOCAL, job_id, limit=2, cursor=cursor)
        seen += [view.id for view in page.data]
        cursor = page.next_cursor
    assert seen == ids[::-1]
    assert cursor is None


def test_every_fault_is_told_when_it_is_asked(house: House, job_id: str) -> None:
    with pytest.raises(Invalid) as caught:
        ask(house, job_id, classes="many", normalise="all")
    assert {error.pointer for error in caught.value.errors} == {"/classes", "/normalise"}
    with pytest.raises(Invalid) as caught:
        ask(house, job_id, type="reconstructions")
    assert caught.value.errors[0].code == "wrong_task"
    with pytest.raises(Invalid) as caught:
        ask(house, job_id, type="roc", positive="no such class")
    assert caught.value.errors[0].pointer == "/positive"
    with pytest.raises(Invalid) as caught:
        ask(house, job_id, type="loss_landscape", directions="trajectory")
    assert caught.value.errors[0].pointer == "/directions"
    assert "keep_last" in caught.value.errors[0].detail
    with pytest.raises(NotFound):
        ask(house, job_id, checkpoint="ckpt_none")
    with pytest.raises(Conflict) as conflict:
        ask(house, house.submit().id)
    assert conflict.value.code == "no_checkpoint"
    assert count(house, Analysis) == 0


def test_a_path_of_checkpoints_is_part_of_the_question(house: House) -> None:
    job = house.submit(checkpoints={"keep_last": 10})
    claim = house.take()
    house.record(claim, *(house.checkpoint(step) for step in (1, 2, 3)))
    request = {"type": "loss_landscape", "directions": "trajectory", "checkpoint": "last"}
    view, _ = ask(house, job.id, **request)
    assert ask(house, job.id, **request) == (view, False)
    assert len(taken(house).trajectory) == 3
    first = view.checkpoint_id
    house.record(claim, house.checkpoint(4), batch=2)
    assert ask(house, job.id, **{**request, "checkpoint": first})[1], "the path is longer now"


def test_rows_that_are_gone_cannot_be_analysed_but_weights_can(house: House, job_id: str) -> None:
    with transaction(house.sessions) as session:
        session.get_one(Job, job_id).dataset = "deleted"
    with pytest.raises(Conflict) as caught:
        ask(house, job_id)
    assert caught.value.code == "dataset_gone"
    assert ask(house, job_id, type="filters")[1]


def test_too_many_at_once_is_a_quota(house: House, job_id: str) -> None:
    limits = Limits(open_analyses=2)
    first, _ = ask(house, job_id, limits=limits)
    ask(house, job_id, limits=limits, seed=1)
    with pytest.raises(QuotaExceeded) as caught:
        ask(house, job_id, limits=limits, seed=2)
    assert caught.value.retry_after_s
    assert ask(house, job_id, limits=limits) == (first, False), "what is under way is joined all the same"
    answer(house, taken(house), {})
    assert ask(house, job_id, limits=limits, seed=2)[1]


def test_strangers(house: House, job_id: str, stranger: Principal) -> None:
    view, _ = ask(house, job_id)
    with pytest.raises(NotFound):
        read(house, view, stranger)
    with pytest.raises(NotFound):
        ask(house, job_id, stranger)
    with pytest.raises(NotFound), reading(house.sessions) as session:
        analyses.list_analyses(session, stranger, job_id)
    with pytest.raises(NotFound), transaction(house.sessions) as session:
        analyses.delete(session, house.store, stranger, view.id, job_id=job_id)
    with pytest.raises(NotFound), reading(house.sessions) as session:
        analyses.get(session, LOCAL, view.id, job_id=None)
    with pytest.raises(NotFound), reading(house.sessions) as session:
        analyses.get(session, LOCAL, "\x00", job_id=job_id)


def test_analyses_outlive_the_purge(house: House, job_id: str) -> None:
    view, _ = ask(house, job_id)
    answer(house, taken(house), {})
    with transaction(house.sessions) as session:
        row = session.get_one(Analysis, view.id)
        row.created_at -= timedelta(days=400)
        assert row.finished_at is not None
        row.finished_at -= timedelta(days=400)
        session.flush()
        sweeping.purge(session, idempotency_ttl_s=86400.0)
    assert read(house, view).status == "succeeded"
