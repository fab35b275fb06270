"""The tree of errors that users can cause or meet.

Every error has a stable `code` (snake case), a `detail` that says what was received and what was
expected, and a `hint` that says how to fix it. Nothing here knows HTTP: `api/errors.py` maps each
kind to a status.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldError:
    """One fault in a document that a user sent; `pointer` is a JSON pointer (RFC 6901) into it."""

    pointer: str
    code: str
    detail: str


class NetmillError(Exception):
    """Root of everything that is told to a user."""

    code = "error"
    hint: str | None = None
    retry_after_s: float | None = None

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        hint: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or type(self).code
        self.hint = hint or type(self).hint
        self.retry_after_s = retry_after_s if retry_after_s is not None else type(self).retry_after_s


class Invalid(NetmillError):
    """The request can be read but not meant: carries every fault that was found, not just the first."""

    code = "invalid"

    def __init__(
        self,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        code: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(detail, code=code, hint=hint)
        self.errors = tuple(errors)


class Malformed(NetmillError):
    """The body is not readable JSON (syntax, depth, duplicate keys, NaN literals)."""

    code = "malformed"


class Unauthenticated(NetmillError):
    """No key, or one that is unknown, revoked or expired."""

    code = "unauthenticated"
    hint = "send the header 'Authorization: Bearer nm_...'"


class Forbidden(NetmillError):
    """The key is good but lacks the scope."""

    code = "forbidden"


class NotFound(NetmillError):
    """Unknown, or somebody else's: the two are told apart by nobody."""

    code = "not_found"


class Conflict(NetmillError):
    """The thing is in a state that does not allow this."""

    code = "conflict"


class TooLarge(NetmillError):
    """More bytes, rows or nodes than the limit."""

    code = "too_large"


class UnsupportedType(NetmillError):
    """A format that is not read here."""

    code = "unsupported_type"


class QuotaExceeded(NetmillError):
    """A rate or a quota is used up; says when to come back."""

    code = "quota_exceeded"
    retry_after_s = 1.0


class Unavailable(NetmillError):
    """A part of the service is down or slow; says when to come back."""

    code = "unavailable"
    retry_after_s = 2.0


class LostLease(NetmillError):
    """Another worker owns the job by now: whoever meets this stops and writes nothing more."""

    code = "lost_lease"


class TrainingFailed(NetmillError):
    """A run that cannot go on for a reason its user can act on; never retried.

    Codes: `diverged`, `out_of_memory`, `time_limit`, `data_error`, `device_unavailable`,
    `cannot_compile`, `worker_lost`, `internal`.
    """

    code = "internal"

    def __init__(
        self,
        detail: str,
        *,
        code: str,
        hint: str | None = None,
        pointer: str | None = None,
        epoch: int | None = None,
    ) -> None:
        super().__init__(detail, code=code, hint=hint)
        self.pointer = pointer
        self.epoch = epoch
