"""What a run reports is written once, and again after a resume under the same numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import update

from core.db.session import reading, transaction
from core.db.tables import BlobChunk, Checkpoint
from core.errors import LostLease
from core.events import Failed, Log, Warned
from core.services import metrics, protocol
from core.services.principal import LOCAL
from core.services.protocol import ResumePoint
from core.states import Status
from tests.support.training import FINISHED, House, progress, row, started


class TestRecord:
    def test_a_small_job_in_one_batch(self, house: House) -> None:
        job = house.submit()
        claim = house.take()
        rows = [row(step) for step in (1, 2, 3)]
        last, best = house.checkpoint(3), house.checkpoint(2, is_best=True)
        done = house.record(claim, started(), *rows, progress(3), Log("hello"), last, best, FINISHED)
        assert done.status == Status.SUCCEEDED
        view = house.job(job.id)
        assert view.terminal
        assert view.finished_at == view.transitions[-1].time
        assert [t.status for t in view.transitions] == ["queued", "running", "succeeded"]
        assert view.progress == {
            "epoch": 3, "epochs": 20, "step": 3, "steps": 80, "eta_s": None, "samples_per_s": 1000.0
        }  # fmt: skip
        assert view.result is not None
        assert view.result["metrics"] == {"test.accuracy": 0.97}
        assert {view.result["last_checkpoint"], view.result["best_checkpoint"]} == set(done.checkpoints)
        assert (view.resume_exact, view.environment) == (True, {"torch": "2.13.0", "threads": 1})
        assert house.steps(job.id) == [(1, 1), (2, 2), (3, 3)]
        assert [data["step"] for data in house.told(job.id, "metrics")] == [1, 2, 3]
        assert [data["step"] for data in house.told(job.id, "checkpoint")] == [3, 2]
        assert house.told(job.id, "log") == [{"message": "hello"}]

    def test_a_batch_is_written_once_however_often_it_is_sent(self, house: House) -> None:
        job = house.submit()
        claim = house.take()
        for _ in range(3):
            assert house.record(claim, row(1), row(2), batch=1).status == "running"
        for _ in range(3):
            assert house.record(claim, row(3), FINISHED, batch=2).status == "succeeded"
        assert house.steps(job.id) == [(1, 1), (2, 2), (3, 3)]
        assert len(house.job(job.id).transitions) == 3
        with pytest.raises(LostLease):
            house.record(claim, row(4), batch=3)

    def test_a_commit_whose_answer_was_lost(self, house: House) -> None:
        """The batch stands; the worker, which cannot know, sends it again."""
        job = house.submit()
        claim = house.take()
        with transaction(house.sessions) as session:
            protocol.record(session, house.store, claim, [row(1), FINISHED], batch=1)
        assert house.record(claim, row(1), FINISHED, batch=1).status == "succeeded"
        assert house.steps(job.id) == [(1, 1)]
        assert len([t for t in house.job(job.id).transitions if t.status == "succeeded"]) == 1

    def test_a_batch_that_fails_leaves_nothing(self, house: House) -> None:
        job = house.submit()
        claim = house.take()
        broken = replace(house.checkpoint(1), content_sha256="0" * 64)
        with pytest.raises(Exception, match="sha256"):
            house.record(claim, row(1), broken)
        assert house.steps(job.id) == []
        assert house.record(claim, row(1), house.checkpoint(1)).checkpoints

    def test_what_is_not_finite_is_null_and_named(self, house: House) -> None:
        job = house.submit()
        house.record(house.take(), row(1, train_loss=None, lr=0.1))
        with reading(house.sessions) as session:
            (found,) = metrics.page(session, LOCAL, job.id).data
        assert found.values == {"train.loss": None, "lr": 0.1}
        assert found.non_finite == ["train.loss"]

    def test_the_same_warning_is_given_once(self, house: House) -> None:
        job = house.submit()
        before = len(house.told(job.id, "warning"))
        claim = house.take()
        for batch in (1, 2):
            house.record(claim, Warned("lr_high", "/optimizer/lr", "very high"), batch=batch)
        assert len(house.told(job.id, "warning")) == before + 1

    def test_a_job_tells_the_warnings_of_its_plan_and_of_its_run(self, house: House) -> None:
        job = house.submit(optimizer={"type": "adam", "lr": 10.0})
        assert [(w.code, w.epoch) for w in job.warnings] == [("lr_too_high", None)]
        house.record(house.take(), Warned("dead_units", "/network/layers/1", "all are", 2, 40))
        told = house.job(job.id).warnings
        assert [w.code for w in told] == ["lr_too_high", "dead_units"]
        assert (told[1].pointer, told[1].detail, told[1].epoch, told[1].step) == (
            *("/network/layers/1", "all are"),
            *(2, 40),
        )

    def test_a_failure_says_what_and_where(self, house: House) -> None:
        job = house.submit()
        failed = Failed("diverged", "the loss is not finite", "lower it", "/optimizer/lr", 3)
        house.record(house.take(), house.checkpoint(1), failed)
        view = house.job(job.id)
        assert view.status == "failed"
        assert view.error == {
            "code": "diverged",
            "detail": "the loss is not finite",
            "hint": "lower it",
            "pointer": "/optimizer/lr",
            "epoch": 3,
        }
        assert view.last_checkpoint

    def test_every_change_raises_the_version(self, house: House) -> None:
        job = house.submit()
        versions = [job.version]
        claim = house.take()
        versions.append(house.job(job.id).version)
        for batch, event in enumerate([progress(1), row(1), Log("x"), FINISHED], start=1):
            house.record(claim, event, batch=batch)
            versions.append(house.job(job.id).version)
        assert versions == sorted(set(versions))


class TestResume:
    def test_rows_after_the_checkpoint_come_again_under_their_numbers(self, house: House) -> None:
        job = house.submit()
        claim = house.take()
        house.record(claim, started(), row(1), house.checkpoint(1), row(2), row(3))
        assert house.crash(claim) == "queued"
        again = house.take()
        assert again.resume is not None
        assert (again.resume.step, again.fence) == (1, 2)
        assert house.job(job.id).progress["step"] == 1
        assert house.steps(job.id) == [(1, 1)]
        house.record(again, started(), row(2), row(3), row(4), FINISHED)
        assert house.steps(job.id) == [(1, 1), (2, 2), (3, 3), (4, 4)]
        assert [data["step"] for data in house.told(job.id, "metrics")] == [1, 2, 3, 4]

    def test_rows_that_come_out_otherwise_are_told_again(self, house: House) -> None:
        job = house.submit()
        claim = house.take()
        house.record(claim, started(), house.checkpoint(0), row(1))
        house.crash(claim)
        house.record(house.take(), started(exact=False, note="2 threads instead of 1"), row(1), FINISHED)
        assert [data["step"] for data in house.told(job.id, "metrics")] == [1, 1]
        view = house.job(job.id)
        assert (view.resume_exact, view.resume_note) == (False, "2 threads instead of 1")

    def test_without_a_checkpoint_it_begins_anew(self, house: House) -> None:
        job = house.submit()
        claim = house.take()
        house.record(claim, row(1), row(2))
        house.crash(claim)
        assert house.take().resume is None
        assert house.steps(job.id) == []

    def test_a_damaged_checkpoint_gives_way_to_the_one_before(self, house: House) -> None:
        job = house.submit(checkpoints={"keep_last": 2})
        claim = house.take()
        house.record(claim, row(1), house.checkpoint(1), row(2), house.checkpoint(2), row(3))
        house.crash(claim)
        again = house.take()
        assert again.resume is not None
        assert again.resume.step == 2
        with transaction(house.sessions) as session:
            before = protocol.reject_checkpoint(session, house.store, again, again.resume.checkpoint_id)
        assert isinstance(before, ResumePoint)
        assert before.step == 1
        assert house.steps(job.id) == [(1, 1)]
        with transaction(house.sessions) as session:
            assert protocol.reject_checkpoint(session, house.store, again, before.checkpoint_id) is None
        assert house.steps(job.id) == []
        assert len(house.told(job.id, "warning")) >= 2
        house.record(again, row(1), house.checkpoint(1), FINISHED)
        assert house.job(job.id).status == "succeeded"

    def test_damaged_bytes_are_written_anew(self, house: House) -> None:
        twin = house.submit()
        house.record(house.take(), house.checkpoint(1))
        job = house.submit()
        claim = house.take()
        house.record(claim, house.checkpoint(1))
        with transaction(house.sessions) as session:
            session.execute(update(BlobChunk).values(data=b"rot"))
        house.crash(claim)
        again = house.take()
        assert again.resume is not None
        with transaction(house.sessions) as session:
            protocol.reject_checkpoint(session, house.store, again, again.resume.checkpoint_id)
        house.record(again, house.checkpoint(1))
        shared = house.row(twin.id).last_checkpoint
        assert shared
        with reading(house.sessions) as session:
            sha256 = session.get_one(Checkpoint, shared).content_sha256
        assert b"".join(house.store.open_range(sha256)) == b"content 1"
        assert house.row(job.id).last_checkpoint != shared
