"""Questions and answers between an asker and a worker that never meet."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from core.db.session import reading, transaction
from core.db.tables import Blob, Question
from core.errors import Conflict, NotFound
from core.services import checkpoints, jobs, predictions, sweeping
from core.services.claims import CrashPolicy
from core.services.predictions import QuestionView, Taken
from core.services.principal import LOCAL, Principal
from tests.support.training import FINISHED, House


@pytest.fixture
def job_id(house: House) -> str:
    job = house.submit()
    house.record(house.take(), house.checkpoint(2), house.checkpoint(1, is_best=True), FINISHED)
    return job.id


def ask(house: House, job_id: str, kind: predictions.Kind = "predict", checkpoint: str = "best") -> QuestionView:
    request = {"rows": [{"x": 1.5}]} if kind == "predict" else {"format": "onnx"}
    with transaction(house.sessions) as session:
        return predictions.ask(session, LOCAL, job_id, kind=kind, checkpoint=checkpoint, request=request)


def take(house: House, worker: str = "w", limit: int = 16) -> list[Taken]:
    with transaction(house.sessions) as session:
        return predictions.take(session, worker_id=worker, limit=limit)


def read(house: House, question_id: str, who: Principal = LOCAL) -> QuestionView:
    with reading(house.sessions) as session:
        return predictions.get(session, who, question_id)


def test_a_question_is_answered(house: House, job_id: str) -> None:
    question = ask(house, job_id)
    (taken,) = take(house)
    assert (taken.id, taken.job_id, taken.request) == (question.id, job_id, {"rows": [{"x": 1.5}]})
    with reading(house.sessions) as session:
        best = checkpoints.choose(session, LOCAL, job_id, "best")
        assert predictions.statuses(session, [question.id, "pred_x"]) == {question.id: "running"}
        assert predictions.statuses(session, []) == {}
    assert (best.step, best.is_best, best.is_last) == (1, True, False)
    assert (taken.checkpoint_id, taken.content_sha256) == (best.id, best.sha256)
    with transaction(house.sessions) as session:
        assert not predictions.answer(session, house.store, question.id, "another worker", answer={})
        assert predictions.answer(session, house.store, question.id, "w", answer={"data": [1]})
        assert not predictions.answer(session, house.store, question.id, "w", answer={"data": [2]})
    assert (read(house, question.id).status, read(house, question.id).answer) == ("done", {"data": [1]})


def test_a_question_is_refused(house: House, job_id: str) -> None:
    question = ask(house, job_id)
    take(house)
    fault = {"pointer": "/rows/0/y", "code": "missing", "detail": "no y"}
    with transaction(house.sessions) as session:
        assert predictions.refuse(
            session, question.id, "w", kind="invalid", code="invalid", detail="bad rows", errors=[fault]
        )
    view = read(house, question.id)
    assert view.status == "failed"
    assert view.error == {"kind": "invalid", "code": "invalid", "detail": "bad rows", "hint": None, "errors": [fault]}


def test_each_is_taken_once(house: House, job_id: str) -> None:
    asked = {ask(house, job_id).id for _ in range(12)}
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda n: [t.id for _ in range(4) for t in take(house, f"w{n}", 2)], range(4)))
    assert Counter(one for mine in found for one in mine) == Counter(asked)


def test_a_dead_worker_s_questions_are_taken_again(house: House, job_id: str) -> None:
    question = ask(house, job_id)
    take(house, "dead")
    assert take(house, "alive") == []
    with transaction(house.sessions) as session:
        row = session.get_one(Question, question.id)
        assert row.lease_until is not None
        row.lease_until -= timedelta(minutes=1)
    assert [taken.id for taken in take(house, "alive")] == [question.id]
    with transaction(house.sessions) as session:
        assert not predictions.answer(session, house.store, question.id, "dead", answer={})


def test_a_restarted_worker_frees_the_questions_of_its_predecessor_at_once(house: House, job_id: str) -> None:
    question = ask(house, job_id)
    take(house, "dead")
    with transaction(house.sessions) as session:
        sweeping.release_worker(session, "another", policy=CrashPolicy())
    assert take(house, "alive") == []
    with transaction(house.sessions) as session:
        sweeping.release_worker(session, "dead", policy=CrashPolicy())
    assert [taken.id for taken in take(house, "alive")] == [question.id]


def test_an_export_that_takes_two_minutes_is_not_taken_twice(house: House, job_id: str) -> None:
    question = ask(house, job_id, "export")
    take(house)
    with transaction(house.sessions) as session:
        row = session.get_one(Question, question.id)
        assert row.lease_until is not None
        row.lease_until -= timedelta(seconds=125)
    assert take(house) == []


def test_an_export_is_made_once_for_each_checkpoint(house: House, job_id: str) -> None:
    question = ask(house, job_id, "export")
    take(house)
    path = house.folder / "model.onnx"
    path.write_bytes(b"onnx")
    with transaction(house.sessions) as session:
        assert predictions.answer(session, house.store, question.id, "w", path=path)
    again = ask(house, job_id, "export")
    assert (again.id, again.status, again.bytes) == (question.id, "done", 4)
    assert again.sha256
    assert b"".join(house.store.open_range(again.sha256)) == b"onnx"
    assert ask(house, job_id, "export", "last").id != question.id
    with transaction(house.sessions) as session:
        predictions.withdraw(session, question.id)
    assert read(house, question.id).status == "done"
    with transaction(house.sessions) as session:
        jobs.delete(session, house.store, LOCAL, job_id)
    with reading(house.sessions) as session:
        assert session.scalar(select(func.count()).select_from(Question)) == 0
        assert session.scalar(select(func.count()).select_from(Blob)) == 0


def test_nobody_waits_any_more(house: House, job_id: str) -> None:
    question = ask(house, job_id)
    take(house)
    with transaction(house.sessions) as session:
        predictions.withdraw(session, question.id)
        assert not predictions.answer(session, house.store, question.id, "w", answer={})
    with pytest.raises(NotFound):
        read(house, question.id)


def test_old_answers_are_forgotten(house: House, job_id: str) -> None:
    question = ask(house, job_id)
    with transaction(house.sessions) as session:
        sweeping.purge(session, idempotency_ttl_s=86400.0)
    assert read(house, question.id).status == "queued"
    with transaction(house.sessions) as session:
        session.get_one(Question, question.id).created_at -= timedelta(hours=2)
        session.flush()
        sweeping.purge(session, idempotency_ttl_s=86400.0)
    with pytest.raises(NotFound):
        read(house, question.id)


def test_which_checkpoint(house: House, job_id: str) -> None:
    last = house.job(job_id).last_checkpoint
    assert last
    assert ask(house, job_id, checkpoint="last").checkpoint_id == last
    assert ask(house, job_id, checkpoint=last).checkpoint_id == last
    for unknown in ("ckpt_none", "", "\x00"):
        with pytest.raises(NotFound):
            ask(house, job_id, checkpoint=unknown)
    with pytest.raises(Conflict) as caught:
        ask(house, house.submit().id)
    assert caught.value.code == "no_checkpoint"


def test_strangers(house: House, job_id: str, stranger: Principal) -> None:
    question = ask(house, job_id)
    with pytest.raises(NotFound):
        read(house, question.id, stranger)
    with pytest.raises(NotFound), transaction(house.sessions) as session:
        predictions.ask(session, stranger, job_id, kind="predict", checkpoint="best", request={})


def test_deleting_checkpoints(house: House, job_id: str) -> None:
    with reading(house.sessions) as session:
        listed = checkpoints.list_checkpoints(session, LOCAL, job_id)
    assert [(one.step, one.is_last, one.is_best) for one in listed] == [(2, True, False), (1, False, True)]
    with transaction(house.sessions) as session:
        checkpoints.delete(session, house.store, LOCAL, listed[0].id)
    job = house.job(job_id)
    assert job.last_checkpoint == job.best_checkpoint == listed[1].id
    with transaction(house.sessions) as session:
        checkpoints.delete(session, house.store, LOCAL, listed[1].id)
    assert house.job(job_id).last_checkpoint is None
    with reading(house.sessions) as session:
        assert session.scalar(select(func.count()).select_from(Blob)) == 0
    running = house.submit()
    house.record(house.take(), house.checkpoint(1))
    kept = house.job(running.id).last_checkpoint
    assert kept
    with pytest.raises(Conflict), transaction(house.sessions) as session:
        checkpoints.delete(session, house.store, LOCAL, kept)
