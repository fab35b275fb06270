"""Bytes that are refused before anything computes with them."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import Malformed, TooLarge
from core.spec.limits import Limits
from core.spec.parsing import loads_strict

LIMITS = Limits()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "received no JSON at line 1"),
        (b"{", "line 1 column 2"),
        (b'{"a": 1,}', "received no JSON"),
        (b"[NaN]", "received NaN, expected a finite number"),
        (b"[-Infinity]", "received -Infinity"),
        (b"[1e400]", "below 1.8e308"),
        (b"[-1e400]", "below 1.8e308"),
        (b"[" + b"9" * 400 + b"]", "integer of 400 digits"),
        (b"[" + b"9" * 5000 + b"]", "integer of 5000 digits"),
        (b'{"a": 1, "b": 2, "a": 3}', '"a" twice'),
        (b'{"x": {"a": 1, "a": 1}}', '"a" twice'),
        (b'["\\ud800"]', "lone surrogates"),
        (b'{"\\udc00": 1}', "lone surrogates"),
        (b'["a\\u0000b"]', "NUL"),
        (b'["\xff"]', "no UTF-8"),
        (b"\xef\xbb\xbf{}", "received no JSON"),
        (b"[" * 33 + b"]" * 33, "more than 32 levels"),
        (b"[" * 100_000, "more than 32 levels"),
        (b'{"a":' * 100_000, "more than 32 levels"),
    ],
)
def test_what_is_malformed(body: bytes, message: str) -> None:
    with pytest.raises(Malformed, match=message):
        loads_strict(body, LIMITS)


def test_what_is_too_large() -> None:
    with pytest.raises(TooLarge, match="1048577 bytes, expected at most 1048576"):
        loads_strict(b" " * (LIMITS.spec_bytes + 1), LIMITS)
    with pytest.raises(TooLarge, match="more than 10000 values"):
        loads_strict(json.dumps([0] * 10_000).encode(), LIMITS)
    assert len(loads_strict(json.dumps([0] * 10_000).encode(), LIMITS, max_nodes=20_000)) == 10_000  # type: ignore[arg-type]
    with pytest.raises(TooLarge):
        loads_strict(b"[1, 2]", LIMITS, max_bytes=5)


@pytest.mark.parametrize(
    "body", [b"[" * 31 + b"1" + b"]" * 31, '["\\ud83d\\ude00", "ü"]'.encode(), b"1", b"null", b'{"a": 1e308}']
)
def test_what_is_taken(body: bytes) -> None:
    assert loads_strict(body, LIMITS) == json.loads(body)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60) | st.text('[]{}",:0123456789eE+-.truefalsnNI\\u d\x00', max_size=60).map(str.encode))
def test_any_bytes_give_a_finite_value_or_a_refusal(body: bytes) -> None:
    try:
        value = loads_strict(body, LIMITS)
    except (Malformed, TooLarge):
        return
    json.dumps(value, allow_nan=False).encode()


@settings(max_examples=100, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(10**18), 10**18) | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=8),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=4),
        max_leaves=20,
    )
)  # fmt: skip
def test_sound_json_is_read_as_it_is(value: object) -> None:
    read = loads_strict(json.dumps(value, ensure_ascii=False).encode(), LIMITS)
    assert read == value
    assert not (isinstance(read, float) and math.isnan(read))
