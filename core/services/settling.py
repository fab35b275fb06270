"""How an attempt ends. Everything that goes with an end is in the caller's one transaction."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

from sqlalchemy.orm import Session

from core.db.tables import Job
from core.events import Failed, Finished, Stopped
from core.services.claims import Claim, CrashPolicy, lock
from core.services.lifecycle import end_attempt, move
from core.states import Status, StopReason

TIME_LIMIT_HINT = "raise training.time_limit_s and continue the job, or train fewer epochs"


def finish(session: Session, job: Job, event: Finished | Failed | Stopped) -> None:
    """Ends the attempt of a locked job as its last event says."""
    if isinstance(event, Finished):
        end_attempt(session, job, "succeeded")
        move(session, job, Status.SUCCEEDED, result=_result(event))
    elif isinstance(event, Failed):
        end_attempt(session, job, "failed", event.code)
        move(session, job, Status.FAILED, error=_error(event), reason=event.code)
    elif event.reason == StopReason.TIME_LIMIT:
        detail = f"the time limit was reached in epoch {event.epoch}"
        finish(session, job, Failed("time_limit", detail, TIME_LIMIT_HINT, "/training/time_limit_s", event.epoch))
    else:
        stop(session, job)


def _result(event: Finished) -> dict[str, Any]:
    folds = {} if event.folds is None else {"folds": event.folds}
    return {
        "best_epoch": event.best_epoch,
        "best_step": event.best_step,
        "metrics": event.metrics,
        "non_finite": list(event.non_finite),
        "early_stopped": event.early_stopped,
        "baselines": event.baselines,
        **folds,
    }


def _error(event: Failed) -> dict[str, Any]:
    return {
        "code": event.code,
        "detail": event.detail,
        "pointer": event.pointer,
        "hint": event.hint,
        "epoch": event.epoch,
    }


def stop(session: Session, job: Job) -> None:
    """Ends the attempt of a locked job that was asked to stop; what counts is what the user wants by now.

    Nobody asked, or the pause was taken back meanwhile: the job goes back to the queue at once, and that is no crash.
    """
    if job.cancel_requested_at is not None:
        end_attempt(session, job, "cancelled")
        move(session, job, Status.CANCELLED)
    elif job.pause_requested_at is not None:
        end_attempt(session, job, "paused")
        move(session, job, Status.PAUSED)
    else:
        end_attempt(session, job, "handed_back")
        move(session, job, Status.QUEUED, reason="handed_back")


def hand_back(session: Session, claim: Claim) -> Status:
    """Gives the job up without blame, for a worker that ends before its runner could answer. Raises LostLease."""
    job = lock(session, claim)
    stop(session, job)
    return Status(job.status)


def crashed(session: Session, claim: Claim, reason: str, *, policy: CrashPolicy) -> Status:
    """The runner died: the job's new status, `queued` with a back-off or `failed`. Raises LostLease."""
    job = lock(session, claim)
    return settle_crash(session, job, reason, policy=policy, wait=True)


def settle_crash(session: Session, job: Job, reason: str, *, policy: CrashPolicy, wait: bool) -> Status:
    """What becomes of a locked job whose attempt crashed; a cancel or a pause that was asked for happens now."""
    job.crashes += 1
    if job.cancel_requested_at is not None or job.pause_requested_at is not None:
        cancelled = job.cancel_requested_at is not None
        end_attempt(session, job, "crashed", reason)
        move(session, job, Status.CANCELLED if cancelled else Status.PAUSED, reason="worker_lost")
        return Status(job.status)
    end_attempt(session, job, "crashed", reason)
    if job.crashes >= policy.max_crashes:
        times = f"{job.crashes} times with no new checkpoint between"
        detail = f"the process that trained this job died {times}; the last time: {reason}"
        hint = "if memory ran out, lower training.batch_size or the network's size; then continue the job"
        error = {"code": "worker_lost", "detail": detail, "pointer": None, "hint": hint, "epoch": job.progress["epoch"]}
        move(session, job, Status.FAILED, error=error, reason="worker_lost")
        return Status.FAILED
    move(session, job, Status.QUEUED, reason="worker_lost", detail=reason, crashes=job.crashes)
    if wait:
        seconds = min(policy.backoff_s * 2 ** (job.crashes - 1), policy.max_backoff_s)
        job.not_before += timedelta(seconds=seconds * random.uniform(0.8, 1.2))  # noqa: S311  # jitter, not a secret
    return Status.QUEUED
