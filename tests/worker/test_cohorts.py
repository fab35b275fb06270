"""Jobs that train together in one runner: each ends as if alone, whatever becomes of the others."""

from __future__ import annotations

import os
import signal
from typing import Any

from sqlalchemy import update

from core.db.session import transaction
from core.db.tables import Job
from core.services import changes, jobs, sweeping
from core.services.principal import LOCAL
from core.spec.limits import Limits
from tests.support.house import LONG, House, WorkerProcess
from tests.support.training import AT_ONCE
from worker.crew import LEAST, deal


def specs(count: int, **training: Any) -> list[dict[str, Any]]:
    """Jobs of one kind: seeds, learning rates and dropout differ."""
    layers = [[{"type": "linear", "units": 16}, {"type": "relu"}, {"type": "dropout", "p": 0.1 + 0.05 * n}]
              for n in range(count)]  # fmt: skip
    return [
        {
            **LONG,
            "network": {"layers": layers[n]},
            "optimizer": {"type": "adam", "lr": 0.001 * (n + 1)},
            "training": {"epochs": 6, "batch_size": 32, "seed": n, **training},
        }
        for n in range(count)
    ]


def ends(house: House, ids: list[str]) -> list[Any]:
    """What the runs came to: rows without their clock, and the bytes of the last weights."""
    return [(house.rows(job_id), house.weights(job_id)) for job_id in ids]


def alone(house: House, some: list[dict[str, Any]]) -> list[Any]:
    """The same of jobs that have no company."""
    ids = []
    for spec in some:
        ids.append(house.submit(spec))
        assert house.until(ids[-1], "succeeded").cohort is None
    return ends(house, ids)


def undisturbed(house: House, some: list[dict[str, Any]]) -> list[Any]:
    """The same of jobs that ride together from beginning to end."""
    ids = house.submit_all(some)
    for job_id in ids:
        assert house.until(job_id, "succeeded").cohort == {"size": len(some)}
    return ends(house, ids)


def three_that_train(house: House) -> tuple[list[dict[str, Any]], list[str]]:
    """Three long jobs and their ids, each some epochs on its way."""
    wanted = specs(3, epochs=100, batch_size=8)
    ids = house.submit_all(wanted)
    for job_id in ids:
        house.until_epoch(job_id, 3)
    return wanted, ids


def test_jobs_submitted_at_once_ride_together_and_end_as_alone(lived_in: tuple[House, WorkerProcess]) -> None:
    house, _ = lived_in
    wanted = specs(8)
    wanted[2]["optimizer"] = {"type": "adam", "lr": 1e30}
    wanted[5]["training"] |= {"epochs": 60, "early_stopping": {"patience": 1, "min_delta": 0.5}}
    ids = house.submit_all(wanted)
    ended = [house.until(job_id, "failed" if n == 2 else "succeeded") for n, job_id in enumerate(ids)]
    assert [view.cohort for view in ended] == [{"size": 8}] * 8
    assert ended[2].error is not None
    assert ended[2].error["code"] == "diverged"
    assert ended[5].result is not None
    assert ended[5].result["early_stopped"]
    assert all(view.attempt == 1 for view in ended)
    for n in (0, 5, 7):
        (by_itself,) = alone(house, [wanted[n]])
        assert by_itself == ends(house, [ids[n]])[0]


def test_one_is_cancelled_one_paused_and_one_changed_while_the_others_go_on(
    lived_in: tuple[House, WorkerProcess],
) -> None:
    house, _ = lived_in
    wanted = specs(4, epochs=100, batch_size=8)
    ids = house.submit_all(wanted)
    house.until_epoch(ids[3], 2)
    house.ask(jobs.cancel, ids[0])
    house.ask(jobs.pause, ids[1])
    with transaction(house.sessions) as session:
        changes.change(session, LOCAL, ids[2], {"training": {"epochs": 12}}, Limits())
    house.until(ids[0], "cancelled")
    paused = house.until(ids[1], "paused")
    assert 0 < paused.progress["epoch"] < 100
    house.until(ids[3], "succeeded")
    changed = house.until(ids[2], "succeeded")
    # the epoch under way is finished
    assert changed.progress["epoch"] == max(12, (changed.changes[0].epoch or 0) + 1)
    house.ask(jobs.resume, ids[1])
    resumed = house.until(ids[1], "succeeded")
    assert (resumed.cohort, resumed.resume_exact, resumed.attempt) == (None, True, 2)
    assert ends(house, [ids[1], ids[3]]) == undisturbed(house, [wanted[1], wanted[3]])


def test_a_killed_runner_is_the_crash_of_each_and_each_resumes_by_itself(
    lived_in: tuple[House, WorkerProcess],
) -> None:
    house, worker = lived_in
    wanted, ids = three_that_train(house)
    os.kill(worker.one("runner"), signal.SIGKILL)
    for job_id in ids:
        ended = house.until(job_id, "succeeded")
        assert (ended.attempt, ended.resume_exact, ended.cohort) == (2, True, None)
    assert "with 2 other jobs in it" in house.logs()
    assert ends(house, ids) == undisturbed(house, wanted)


def test_a_killed_worker_frees_them_all(house: House) -> None:
    wanted = specs(3, epochs=100, batch_size=8)
    ids = house.submit_all(wanted)
    first = house.start(NETMILL_WORKER_NAME="w")
    for job_id in ids:
        house.until_epoch(job_id, 3)
    first.end(signal.SIGKILL)
    house.start(NETMILL_WORKER_NAME="w", NETMILL_SLOTS="2")
    for job_id in ids:
        ended = house.until(job_id, "succeeded")
        assert (ended.attempt, ended.resume_exact) == (2, True)
    # two slots share what waits
    again = house.submit_all(wanted + specs(5, epochs=100, batch_size=8)[3:] + specs(6, epochs=100, batch_size=8)[5:])
    sizes = [(house.until(job_id, "succeeded").cohort or {})["size"] for job_id in again]
    assert sizes == [3] * 6
    assert ends(house, ids) == ends(house, again[:3])


def test_one_that_does_not_stop_takes_the_runner_away_and_no_blame_falls_on_the_others(
    lived_in: tuple[House, WorkerProcess],
) -> None:
    house, worker = lived_in
    wanted, ids = three_that_train(house)
    os.kill(worker.one("runner"), signal.SIGSTOP)
    house.ask(jobs.cancel, ids[1])
    house.until(ids[1], "cancelled", 20)
    for job_id in (ids[0], ids[2]):
        ended = house.until(job_id, "succeeded")
        assert (ended.attempt, ended.cohort) == (2, {"size": 2})
    assert ends(house, [ids[0], ids[2]]) == undisturbed(house, [wanted[0], wanted[2]])


def test_one_that_is_taken_away_is_let_go_alone(lived_in: tuple[House, WorkerProcess]) -> None:
    house, _ = lived_in
    wanted = specs(3, epochs=100, batch_size=8)
    ids = house.submit_all(wanted)
    house.until_epoch(ids[2], 2)
    with transaction(house.sessions) as session:
        # as when its lease runs out: a sweeper gives it to whoever comes next
        session.execute(update(Job).where(Job.id == ids[1]).values(lease_until=Job.queued_at))
        assert sweeping.sweep(session, policy=AT_ONCE, republish_s=30.0).requeued == [ids[1]]
    for job_id in (ids[0], ids[2]):
        assert house.until(job_id, "succeeded").attempt == 1
    taken = house.until(ids[1], "succeeded")
    assert (taken.attempt, taken.cohort, taken.resume_exact) == (2, None, True)
    assert ends(house, ids) == undisturbed(house, wanted)


def test_a_slot_with_two_processors_deals_a_claim_over_two_runners(house: House) -> None:
    """The death of one of them is the crash of its own jobs alone; all come to what they come to by themselves."""
    wanted = specs(2 * LEAST, epochs=20, batch_size=8)
    ids = house.submit_all(wanted)
    worker = house.start(NETMILL_THREADS="2")
    for job_id in ids:
        house.until_epoch(job_id, 2)
    runners = worker.children("runner")
    assert len(runners) == 2
    os.kill(runners[0], signal.SIGKILL)
    ended = [house.until(job_id, "succeeded") for job_id in ids]
    assert sorted(view.attempt for view in ended) == [1] * LEAST + [2] * LEAST
    assert all(view.resume_exact for view in ended if view.attempt == 2)
    assert f"with {LEAST - 1} other jobs in it" in house.logs()
    by_attempt = {view.attempt: n for n, view in enumerate(ended)}
    for n in by_attempt.values():
        assert alone(house, [wanted[n]]) == ends(house, [ids[n]])


def test_shares_are_equal_and_none_is_small() -> None:
    jobs: list[Any] = list(range(64))
    assert [len(share) for share in deal(jobs, 2)] == [32, 32]
    assert [len(share) for share in deal(jobs[:35], 4)] == [9, 9, 9, 8]
    assert deal(jobs[: 2 * LEAST - 1], 2) == [jobs[: 2 * LEAST - 1]]
    assert deal(jobs, 1) == [jobs]
    assert deal(jobs[:1], 8) == [[0]]
    assert sorted(job for share in deal(jobs, 3) for job in share) == jobs
