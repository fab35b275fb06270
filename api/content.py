"""Files out of the store, whole or one part, without holding a connection while a slow client reads."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from api.conditional import CACHING, matches
from api.errors import problem
from api.ranges import NotSatisfiable, parse_range
from core.storage.store import BlobStore

MEDIA_TYPE = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class File:
    """A blob as somebody downloads it."""

    sha256: str
    bytes: int
    name: str


def send(request: Request, store: BlobStore, file: File) -> Response:
    """The file, the part that `Range` asks for (206), 304 for who has it, or 416."""
    etag = f'"{file.sha256}"'
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": CACHING,
        "Content-Disposition": f'attachment; filename="{file.name}"',
    }
    if matches(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    # a part of a file that has changed since would be of no use: then the whole is sent
    asked = request.headers.get("range") if request.headers.get("if-range", etag) == etag else None
    try:
        part = parse_range(asked, file.bytes)
    except NotSatisfiable:
        told = {"Content-Range": f"bytes */{file.bytes}"}
        return problem(416, "range_not_satisfiable", f"the file has {file.bytes} bytes", headers=told)
    start, end = part or (0, file.bytes)
    headers["Content-Length"] = str(end - start)
    if part:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{file.bytes}"
    pieces = store.open_range(file.sha256, start, end)
    return StreamingResponse(pieces, 206 if part else 200, headers, MEDIA_TYPE)
