"""Uploads: streamed to a temporary folder that goes with the request, whatever becomes of it."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from anyio import to_thread
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from api.bodies import chunks
from api.parts import Parts
from core.data.ingest import FORMATS, Ingested, ingest
from core.data.selection import Selection
from core.errors import UnsupportedType
from core.storage.store import STAGE_FROM_BYTES

# what a killed server left behind
STALE_S = 24 * 3600.0
# pieces come as small as 1 KiB; one hop to a thread for each would cost more than the write
WRITE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Upload:
    """A body that stands in a file."""

    folder: Path
    path: Path
    sha256: str


def check_format(name: str) -> str:
    """The format when it is one that is read here; raises UnsupportedType before a byte of the body is."""
    if name not in FORMATS:
        raise UnsupportedType(f"received format {name[:50]!r}, expected one of {', '.join(FORMATS)}")
    return name


@asynccontextmanager
async def received(request: Request, parts: Parts) -> AsyncIterator[Upload]:
    """The whole body in a file; the folder is gone afterwards, also when the client left half way."""
    folder = Path(await run_in_threadpool(tempfile.mkdtemp, prefix="upload-", dir=parts.uploads_dir))
    try:
        path = folder / "body"
        sha256 = await _write(request, path, parts.limits.upload_bytes)
        yield Upload(folder, path, sha256)
    finally:
        # at once, not in a thread: a cancelled task could not wait for one
        shutil.rmtree(folder, ignore_errors=True)


async def _write(request: Request, path: Path, limit: int) -> str:
    """Writes the body as it comes; the sha256 of it."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        pending = bytearray()

        def flush() -> None:
            digest.update(pending)
            file.write(pending)
            pending.clear()

        async for chunk in chunks(request, limit, "an upload"):
            pending += chunk
            if len(pending) >= WRITE_BYTES:
                await run_in_threadpool(flush)
        await run_in_threadpool(flush)
    return digest.hexdigest()


async def read_in(parts: Parts, upload: Upload, file_format: str, selection: Selection) -> Ingested:
    """The data set in its stored form, read by a child process; large ones are put into the store already."""

    def work() -> Ingested:
        ingested = ingest(upload.path, file_format, upload.folder, parts.limits, selection)
        if ingested.bytes >= STAGE_FROM_BYTES:
            parts.store.stage(ingested.data_path, ingested.sha256)
        return ingested

    return await to_thread.run_sync(work, limiter=parts.uploading)


def clean(folder: Path) -> None:
    """Makes the folder and removes what uploads left in it a day ago or longer."""
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob("upload-*"):
        if left.stat().st_mtime < time.time() - STALE_S:
            shutil.rmtree(left, ignore_errors=True)
