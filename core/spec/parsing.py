"""From the bytes of a request to a JSON value that is safe to compute with, store and echo."""

from __future__ import annotations

import json
import math
from typing import Any

from core.errors import Malformed, TooLarge
from core.spec.limits import Limits

_MAX_DIGITS = 308  # beyond it an integer is no double


def loads_strict(body: bytes, limits: Limits, *, max_bytes: int | None = None, max_nodes: int | None = None) -> object:
    """The JSON value of `body`; raises Malformed or TooLarge.

    The sizes are those of a job spec unless given. Refused: bytes that are no UTF-8, NaN, Infinity, numbers beyond a
    double, duplicate keys, lone surrogates and NUL in strings (no database stores them), nesting above `spec_depth`.
    """
    max_bytes = limits.spec_bytes if max_bytes is None else max_bytes
    if len(body) > max_bytes:
        raise TooLarge(f"received a body of {len(body)} bytes, expected at most {max_bytes}; do send less")
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_float=_float,
            parse_int=_int,
        )
    except UnicodeDecodeError as error:
        raise Malformed(
            f"received a byte at offset {error.start} that is no UTF-8, expected JSON in UTF-8; do encode it so"
        ) from None
    except json.JSONDecodeError as error:
        raise Malformed(
            f"received no JSON at line {error.lineno} column {error.colno} ({error.msg}), expected one JSON value; "
            "do correct it there"
        ) from None
    except RecursionError:
        raise _too_deep(limits.spec_depth) from None
    _measure(value, limits.spec_depth, limits.spec_nodes if max_nodes is None else max_nodes)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise Malformed(f"received the key {_echo(twice)} twice in one object, expected it once; do remove one")
    return value


def _refuse_constant(name: str) -> float:
    raise Malformed(f"received {name}, expected a finite number (RFC 8259 knows no {name}); do send null or a number")


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise Malformed(f"received the number {_echo(text)}, expected one below 1.8e308; do send a smaller one")
    return value


def _int(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise Malformed(
            f"received an integer of {len(text)} digits, expected at most {_MAX_DIGITS}; do send a smaller one"
        )
    return int(text)


def _measure(value: object, max_depth: int, max_nodes: int) -> None:
    """Depth, nodes and strings, level by level: no recursion, whatever was sent."""
    level, depth, nodes = [value], 0, 0
    while level:
        depth, nodes = depth + 1, nodes + len(level)
        if depth > max_depth:
            raise _too_deep(max_depth)
        if nodes > max_nodes:
            raise TooLarge(f"received more than {max_nodes} values, expected at most that many; do send fewer")
        below: list[object] = []
        for item in level:
            if isinstance(item, str):
                _check_text(item)
            elif isinstance(item, dict):
                for key in item:
                    _check_text(key)
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
        level = below


def _check_text(text: str) -> None:
    if text.isascii():
        if "\0" not in text:
            return
    elif "\0" not in text and not any("\ud800" <= sign <= "\udfff" for sign in text):
        return
    raise Malformed(
        f"received the text {_echo(text)}, expected one without NUL and without lone surrogates; do remove them"
    )


def _too_deep(limit: int) -> Malformed:
    return Malformed(f"received more than {limit} levels of nesting, expected at most that many; do flatten it")


def _echo(text: str) -> str:
    """A user's text short enough and plain enough to stand in an error."""
    return json.dumps(text if len(text) <= 40 else text[:40] + "…")
