"""Which workers there are, by their own word."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete
from sqlalchemy.orm import Session

from core.db.session import now
from core.db.tables import Worker
from core.db.upsert import upsert


def seen(session: Session, worker_id: str, *, queue: str, slots: int, info: dict[str, Any]) -> None:
    """A sign of life, sent with each heartbeat."""
    moment = now(session)
    row = {"id": worker_id, "queue": queue, "slots": slots, "started_at": moment, "seen_at": moment, "info": info}
    upsert(session, Worker, row, update=("queue", "slots", "seen_at", "info"))


def left(session: Session, worker_id: str) -> None:
    """The worker ends in good order."""
    session.execute(delete(Worker).where(Worker.id == worker_id))
