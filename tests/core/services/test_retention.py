"""Which checkpoints stay, and that their bytes go with the last of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import func, select

from core.db.session import reading, transaction
from core.db.tables import Attempt, Blob, Checkpoint, Job, JobEvent, Metric
from core.services import jobs
from core.services.principal import LOCAL
from core.services.protocol import Claim
from tests.support.training import FINISHED, House


class TestRetention:
    def stored(self, house: House, job_id: str) -> list[int]:
        with reading(house.sessions) as session:
            query = select(Checkpoint.step).where(Checkpoint.job_id == job_id).order_by(Checkpoint.step)
            return list(session.scalars(query))

    def blobs(self, house: House) -> int:
        with reading(house.sessions) as session:
            return session.scalar(select(func.count()).select_from(Blob)) or 0

    def test_the_last_and_the_best(self, house: House) -> None:
        job = house.submit()
        claim = house.take()
        for batch, (step, is_best) in enumerate([(1, True), (2, True), (3, False), (4, False)], start=1):
            house.record(claim, house.checkpoint(step, is_best=is_best), batch=batch)
        assert self.stored(house, job.id) == [2, 4]
        assert self.blobs(house) == 4
        house.record(claim, house.checkpoint(5, is_best=True), batch=5)
        assert self.stored(house, job.id) == [5]
        assert self.blobs(house) == 2

    def test_as_many_as_asked(self, house: House) -> None:
        job = house.submit(checkpoints={"keep_last": 3, "keep_best": False})
        claim = house.take()
        for step in range(1, 7):
            house.record(claim, house.checkpoint(step, is_best=step == 1), batch=step)
        assert self.stored(house, job.id) == [4, 5, 6]
        assert house.row(job.id).best_checkpoint is None

    def test_one_in_the_middle_of_an_epoch_stays_until_there_is_a_later_one(self, house: House) -> None:
        job = house.submit(checkpoints={"keep_last": 2, "keep_best": False})
        claim = house.take()
        middle = [house.checkpoint(step, end_of_epoch=False) for step in (3, 5)]
        kept = []
        for batch, event in enumerate([house.checkpoint(2), middle[0], house.checkpoint(4), middle[1]], start=1):
            house.record(claim, event, batch=batch)
            kept.append(self.stored(house, job.id))
        assert kept == [[2], [2, 3], [2, 4], [4, 5]]

    def test_the_best_may_come_after_the_last(self, house: House) -> None:
        job = house.submit()
        claim = house.take()
        house.record(claim, house.checkpoint(9), house.checkpoint(5, is_best=True), FINISHED)
        assert self.stored(house, job.id) == [5, 9]
        view = house.job(job.id)
        assert view.result is not None
        with reading(house.sessions) as session:
            assert session.get_one(Checkpoint, view.last_checkpoint).step == 9
            assert session.get_one(Checkpoint, view.best_checkpoint).step == 5

    def test_superfluous_ones_are_never_stored(self, house: House) -> None:
        job = house.submit()
        done = house.record(house.take(), *(house.checkpoint(step) for step in range(1, 6)))
        assert len(done.checkpoints) == 1
        assert [data["step"] for data in house.told(job.id, "checkpoint")] == [5]

    def test_shared_content_outlives_one_of_its_owners(self, house: House) -> None:
        first, second = house.submit(), house.submit()
        for _ in (first, second):
            house.record(house.take(), house.checkpoint(1, content=b"the same"), FINISHED)
        with transaction(house.sessions) as session:
            jobs.delete(session, house.store, LOCAL, first.id)
        with reading(house.sessions) as session:
            sha256 = session.get_one(Checkpoint, house.row(second.id).last_checkpoint).content_sha256
        assert b"".join(house.store.open_range(sha256)) == b"the same"
        with transaction(house.sessions) as session:
            jobs.delete(session, house.store, LOCAL, second.id)
        assert self.blobs(house) == 0
        with reading(house.sessions) as session:
            for table in (Job, Attempt, JobEvent, Metric, Checkpoint):
                assert session.scalar(select(func.count()).select_from(table)) == 0

    def test_twins_that_write_and_drop_the_same_blobs(self, house: House) -> None:
        jobs_ = [house.submit() for _ in range(3)]
        claims = [house.take() for _ in jobs_]
        events_ = [house.checkpoint(step, is_best=step == 2) for step in range(1, 6)]

        def run(claim: Claim) -> None:
            for batch, event in enumerate(events_, start=1):
                house.record(claim, event, batch=batch)

        with ThreadPoolExecutor(3) as threads:
            list(threads.map(run, claims))
        assert [self.stored(house, job.id) for job in jobs_] == [[2, 5]] * 3
        assert self.blobs(house) == 4
