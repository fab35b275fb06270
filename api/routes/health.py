"""Is it alive, is it ready, what does it count."""

from __future__ import annotations

from typing import Any

import structlog
from fastapi import APIRouter, Response
from sqlalchemy.exc import SQLAlchemyError

from api.deps import PartsDep
from api.documents import VERSION, Responses, problems
from api.errors import problem
from api.parts import Parts
from api.telemetry import MEDIA_TYPE
from core.db.session import reading
from core.services import health

router = APIRouter(tags=["health"])
log = structlog.get_logger(__name__)
WORKER_SEEN_S = 30.0
ONLY_503: Responses = {503: problems()[503]}


@router.get("/")
def read_root() -> dict[str, str]:
    """Where to go from here."""
    places = {"openapi": "/openapi.json", "docs": "/docs", "schema": "/v1/schema", "catalog": "/v1/catalog"}
    return {"name": "Netmill", "version": VERSION, **places, "zoo": "/v1/zoo", "ready": "/readyz"}


@router.get("/healthz")
async def read_health() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


def _checks(parts: Parts) -> dict[str, bool]:
    checks = {"database": False, "schema": False, "broker": parts.queue.ping(), "worker": False}
    try:
        with reading(parts.sessions) as session:
            health.ping(session)
            checks["database"] = True
            checks["schema"] = health.at_head(session)
            checks["worker"] = bool(health.workers(session, within_s=WORKER_SEEN_S))
    except SQLAlchemyError as error:
        log.warning("not_ready", error=type(error).__name__)
    return checks


@router.get("/readyz", response_model=dict[str, Any], responses=ONLY_503)
def read_ready(parts: PartsDep) -> Any:
    """Database and broker answer, the schema is the one that this version works with, a worker was seen lately."""
    checks = _checks(parts)
    if all(checks.values()):
        return {"status": "ready", "checks": checks}
    missing = ", ".join(name for name, good in checks.items() if not good)
    retry = {"Retry-After": "2"}
    return problem(503, "not_ready", f"not ready: {missing}", headers=retry, more={"checks": checks})


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def read_telemetry(parts: PartsDep) -> Response:
    """Prometheus figures of this process, and of the jobs in the database when it answers."""
    telemetry = parts.telemetry
    telemetry.broker_failures.set(parts.queue.failures)
    try:
        with reading(parts.sessions) as session:
            telemetry.counted(
                health.counts(session), health.queued(session), len(health.workers(session, within_s=WORKER_SEEN_S))
            )
    except SQLAlchemyError as error:
        log.warning("figures_without_database", error=type(error).__name__)
    return Response(telemetry.exposition(), media_type=MEDIA_TYPE)
