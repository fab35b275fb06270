"""When a request may be sent again, and after how long."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

# a part is down or the rate is used up: the request was not carried out
TRANSIENT = frozenset({429, 502, 503, 504})


@dataclass(frozen=True)
class RetryPolicy:
    """`retries` is sent again at most so often; waits grow from `first_wait_s` by doubling up to `longest_wait_s`.

    A wait is drawn evenly between half and all of it, so that clients that failed together do not return together. A
    `Retry-After` that is longer than `longest_retry_after_s` is not waited for: the error is raised instead.
    """

    retries: int = 5
    first_wait_s: float = 0.2
    longest_wait_s: float = 10.0
    longest_retry_after_s: float = 60.0

    def wait_s(self, attempt: int, retry_after_s: float | None) -> float | None:
        """Seconds before attempt number `attempt` (1 is the first repetition); None when there shall be none."""
        if attempt > self.retries or (retry_after_s or 0.0) > self.longest_retry_after_s:
            return None
        grown = min(self.longest_wait_s, self.first_wait_s * 2.0 ** (attempt - 1))
        jittered = grown * random.uniform(0.5, 1.0)  # noqa: S311  # no secret depends on it
        return jittered if retry_after_s is None else retry_after_s + jittered * 0.1


def may_repeat(method: str, *, has_key: bool) -> bool:
    """True for what can be carried out twice without harm: a read, or a POST that names its Idempotency-Key."""
    return method in ("GET", "HEAD") or has_key


def is_transient(response: httpx.Response, *, has_key: bool) -> bool:
    """True when the same request may be answered differently a little later.

    409 with Retry-After is the first request with this Idempotency-Key being under way; any other 409 is an answer.
    """
    if response.status_code == 409:
        return has_key and "Retry-After" in response.headers
    return response.status_code in TRANSIENT


def retry_after_s(response: httpx.Response, now: datetime | None = None) -> float | None:
    """Seconds that the answer asks to wait (RFC 9110: seconds or a date); None when it does not, or not readably."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isdigit():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds())
