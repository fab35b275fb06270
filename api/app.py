"""The application: `create_app(settings)`. Nothing happens at import."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

from anyio import CapacityLimiter
from fastapi import FastAPI, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api import errors, uploads
from api.documents import VERSION, make_document
from api.drawing import Drawn
from api.edge import Edge, is_loopback
from api.gather import Gather
from api.given import Given
from api.idempotency import Replayed
from api.looks import Looks
from api.parts import Parts
from api.polling import asked_again
from api.rendered import Rendered
from api.routes import (
    analyses,
    checkpoints,
    datasets,
    health,
    history,
    jobs,
    keys,
    lab,
    pictures,
    predictions,
    reference,
)
from api.submissions import Submissions
from api.telemetry import Telemetry
from api.watcher import Ear, Watcher
from core.db.commits import Commits
from core.db.session import make_engine, make_sessions, transaction
from core.queue import Queue
from core.services.keys import ensure_admin
from core.settings import Settings
from core.storage.choose import open_store

# those asked for most come first: each router that does not match costs its tries
ROUTERS = (jobs, history, health, datasets, checkpoints, predictions, analyses, lab, pictures, reference, keys)
DESCRIPTION = (
    "Training as a service: post a network, an optimizer and a data set, poll the metrics, take the model away."
)
# Uploads are read by child processes that may take gigabytes; a picture keeps one core busy.
UPLOADS_AT_ONCE = 2
PICTURES_AT_ONCE = 1
POOL_SIZE = 10
# keys and jobs; each is one query for all who ask
LOOKS_AT_ONCE = 2
# more threads would render no more pages a second: they hold the interpreter's lock
PAGES_AT_ONCE = 2


class Refused(Exception):
    """The settings would leave the service open; the message says what to set."""


def check_settings(settings: Settings) -> None:
    """Raises Refused unless whoever reaches the server needs a key, or only this machine's user reaches it."""
    if settings.auth == "off" and not (settings.mode == "embedded" and is_loopback(settings.host)):
        raise Refused(
            f"NETMILL_AUTH=off is allowed in embedded mode on loopback alone; this is {settings.mode} mode on "
            f"{settings.host}. Set NETMILL_AUTH=keys and NETMILL_ADMIN_KEY."
        )
    if settings.auth == "keys" and settings.admin_key is None:
        raise Refused("NETMILL_ADMIN_KEY is not set: without it nobody could use the service. `make env` makes one.")


def make_parts(settings: Settings) -> Parts:
    """What the routes work with, none of it connected yet."""
    engine = make_engine(settings.database_url, pool_size=POOL_SIZE)
    sessions = make_sessions(engine)
    telemetry = Telemetry()
    commits = Commits(engine)
    queue = Queue(settings.redis_url, settings.queue)
    looking = ThreadPoolExecutor(LOOKS_AT_ONCE, "looking")
    submitting = ThreadPoolExecutor(1, "submitting")
    looks = Looks(sessions)
    return Parts(
        auth=settings.auth,
        limits=settings.limits,
        queue_name=settings.queue,
        idempotency_ttl_s=settings.idempotency_ttl_s,
        predict_wait_s=settings.predict_wait_s,
        uploads_dir=settings.data_dir / "uploads",
        engine=engine,
        commits=commits,
        sessions=sessions,
        store=open_store(sessions, settings.storage),
        queue=queue,
        telemetry=telemetry,
        looking=looking,
        submitting=submitting,
        principals=Gather(looks.keys, looking, commits.count, lasts=lambda who: not who.expires),
        heads=Gather(looks.jobs, looking, commits.count),
        rendered=Rendered(),
        given=Given(),
        rendering=CapacityLimiter(PAGES_AT_ONCE),
        submissions=Submissions(
            sessions,
            queue,
            submitting,
            limits=settings.limits,
            queue_name=settings.queue,
            ttl_s=settings.idempotency_ttl_s,
        ),
        jobs=Watcher(looks.jobs, telemetry),
        questions=Watcher(looks.questions, telemetry),
        uploading=CapacityLimiter(UPLOADS_AT_ONCE),
        drawing=CapacityLimiter(PICTURES_AT_ONCE),
        drawn=Drawn(),
    )


@asynccontextmanager
async def _lifespan(settings: Settings, app: FastAPI) -> AsyncIterator[None]:
    parts: Parts = app.state.parts
    await run_in_threadpool(_prepare, settings, parts)
    tasks = [asyncio.create_task(watcher.run()) for watcher in (parts.jobs, parts.questions)]

    def heard(topic: str) -> None:
        parts.jobs.hint(topic)
        parts.questions.hint(topic)

    ear = Ear(parts.queue.subscribe, heard)
    try:
        yield
    finally:
        release_waiters(app)
        ear.close()
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        parts.looking.shutdown(wait=False)
        parts.submitting.shutdown(wait=False)
        await run_in_threadpool(parts.queue.close)
        parts.commits.close()
        parts.engine.dispose()


def _prepare(settings: Settings, parts: Parts) -> None:
    uploads.clean(parts.uploads_dir)
    if settings.admin_key is not None:
        with transaction(parts.sessions) as session:
            ensure_admin(session, settings.admin_key.get_secret_value())


def release_waiters(app: FastAPI) -> None:
    """Ends long polls and streams, so that a shutdown does not wait for them."""
    app.state.parts.jobs.close()
    app.state.parts.questions.close()


def create_app(settings: Settings) -> FastAPI:
    """The application; raises Refused for settings that would leave it open."""
    check_settings(settings)
    app = FastAPI(
        title="Netmill",
        version=VERSION,
        description=DESCRIPTION,
        lifespan=partial(_lifespan, settings),
        # a redirect would drop bodies and leave by a Host that the client made up
        redirect_slashes=False,
    )
    app.state.parts = make_parts(settings)
    errors.install(app)
    app.add_exception_handler(Replayed, _replay)
    for module in ROUTERS:
        app.include_router(module.router)
    parts: Parts = app.state.parts
    shortcut = partial(asked_again, parts)
    app.add_middleware(Edge, telemetry=parts.telemetry, local_only=settings.auth == "off", shortcut=shortcut)
    app.openapi = partial(_openapi, app)  # type: ignore[method-assign]  # FastAPI's own way to extend the document
    return app


async def _replay(_: Request, error: Exception) -> Response:
    assert isinstance(error, Replayed)
    return error.response


def _openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        app.openapi_schema = make_document(app)
    return app.openapi_schema
