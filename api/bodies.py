"""Request bodies: their size is limited while they are read, before anything looks inside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from core.errors import Invalid, TooLarge, Unavailable, UnsupportedType
from core.spec.limits import Limits
from core.spec.locate import locate
from core.spec.parsing import loads_strict
from core.spec.sentences import field_error

Model = TypeVar("Model", bound=BaseModel)
# a client that sends nothing for so long has gone, or keeps the connection on purpose
SILENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class Body:
    """The bytes of one body, whose size and type are as they should be; `most` is how many values it may hold."""

    raw: bytes
    limits: Limits
    most: int

    def value(self) -> object:
        """The JSON document; an empty body is an empty object. Raises Malformed and TooLarge."""
        if not self.raw.strip():
            return {}
        return loads_strict(self.raw, self.limits, max_bytes=len(self.raw), max_nodes=self.most)

    def parse(self, model: type[Model]) -> Model:
        """The document as `model`; raises Invalid with every fault."""
        document = self.value()
        try:
            return model.model_validate(document)
        except ValidationError as error:
            faults = [field_error(fault, locate(model, fault["loc"])) for fault in error.errors(include_url=False)]
            raise Invalid("the body is not valid", errors=faults) from None


async def chunks(request: Request, limit: int, what: str) -> AsyncIterator[bytes]:
    """The body in pieces as they arrive; raises TooLarge as soon as there are more than `limit` bytes."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:19]) > limit:
        raise TooLarge(f"received {what} of {declared[:19]} bytes, at most {limit} are allowed")
    received = 0
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(SILENCE_S):
                chunk = await anext(stream, None)
        except TimeoutError:
            raise Unavailable(f"nothing more of the body came for {SILENCE_S:.0f} s", code="body_timeout") from None
        if chunk is None:
            return
        received += len(chunk)
        if received > limit:
            raise TooLarge(f"received {what} of more than {limit} bytes, which is the limit")
        yield chunk


async def read(request: Request, limit: int) -> bytes:
    """The whole body."""
    return b"".join([chunk async for chunk in chunks(request, limit, "a body")])


def check_json(request: Request) -> None:
    """Raises UnsupportedType unless the body says that it is JSON in UTF-8, or says nothing."""
    received = request.headers.get("content-type", "")
    kind, _, parameters = received.lower().partition(";")
    kind = kind.strip()
    is_json = kind in {"", "application/json"} or (kind.startswith("application/") and kind.endswith("+json"))
    charset = parameters.partition("charset=")[2].split(";")[0].strip(' "')
    if not is_json or charset not in {"", "utf-8", "utf8"}:
        raise UnsupportedType(
            f"received Content-Type {received[:100]!r}, expected application/json in UTF-8",
            hint="send the header 'Content-Type: application/json'",
        )
    encoding = request.headers.get("content-encoding", "identity").lower()
    if encoding != "identity":
        raise UnsupportedType(f"received Content-Encoding {encoding[:50]!r}, expected none")


async def read_json(request: Request, limits: Limits, *, most_bytes: int, most_values: int) -> Body:
    """A JSON body of at most `most_bytes`, nothing of which is looked at yet."""
    if request.headers.get("content-length", "") not in {"", "0"} or "transfer-encoding" in request.headers:
        check_json(request)
    return Body(await read(request, most_bytes), limits, most_values)
