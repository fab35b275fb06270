"""HTTP/1.1 as uvicorn speaks it, with an end to how much of a request's head is kept while the rest is waited for."""

from __future__ import annotations

import json

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_BYTES = 64 * 1024
_PROBLEM = {
    "type": "urn:netmill:error:head_too_large",
    "title": "Request Header Fields Too Large",
    "status": 431,
    "detail": f"the address and the headers together have more than {MOST_BYTES} bytes, which is the limit",
    "code": "head_too_large",
    "request_id": None,
}


def _refusal() -> bytes:
    body = json.dumps(_PROBLEM)
    head = ("HTTP/1.1 431 Request Header Fields Too Large", "content-type: application/problem+json")
    return "\r\n".join((*head, f"content-length: {len(body)}", "connection: close", "", body)).encode()


class Protocol(HttpToolsProtocol):
    """A connection. Bodies are limited where they are read, the head here: no application sees it before it ends."""

    _head: int | None = 0  # bytes of a head that has not ended; None while a body comes

    def on_message_begin(self) -> None:
        self._head = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._head = None
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head is None or self.transport.is_closing():
            return
        self._head += len(data)
        if self._head > MOST_BYTES:
            self.transport.write(_refusal())
            self.transport.close()
