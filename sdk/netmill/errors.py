"""Everything that can go wrong, as one tree.

NetmillError
  TransportError               the service was not reached, or its answer never came
    ConnectionFailed
    TimedOut
  ApiError                     the service answered with an error
    MalformedError 400, AuthenticationError 401, ForbiddenError 403, NotFoundError 404, ConflictError 409,
    TooLargeError 413, UnsupportedTypeError 415, InvalidError 422, RateLimitError 429
    ServerError 5xx
      UnavailableError 503
  JobFailedError               a job that was waited for ended as `failed`
  WaitTimeoutError             a job was not over in the time given to `wait`
  IntegrityError               what was downloaded is not what the service stored
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

# a message for people: a file of a thousand rows without a column has a thousand faults, all of them in `errors`
SHOWN_FAULTS = 20


class NetmillError(Exception):
    """Root of all errors of this package."""


class TransportError(NetmillError):
    """The service was not reached, or its answer never came."""


class ConnectionFailed(TransportError):
    """Nobody listens at the URL."""


class TimedOut(TransportError):
    """No answer in the time that was allowed."""


class IntegrityError(NetmillError):
    """What was downloaded is not what the service stored."""


@dataclass(frozen=True, slots=True)
class FieldFault:
    """One fault in what was sent; `pointer` is a JSON pointer (RFC 6901) into it."""

    pointer: str
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem document (RFC 9457) as the service sends it; `body` is all of it."""

    status: int
    title: str
    detail: str
    code: str = "unknown"
    request_id: str | None = None
    hint: str | None = None
    errors: tuple[FieldFault, ...] = ()
    retry_after_s: float | None = None
    body: Mapping[str, Any] = field(default_factory=dict)


class ApiError(NetmillError):
    """The service answered with an error; `problem` is what it said."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(_in_words(problem))
        self.problem = problem

    @property
    def status(self) -> int:
        return self.problem.status

    @property
    def code(self) -> str:
        """Stable, in snake case: the one to compare with."""
        return self.problem.code

    @property
    def detail(self) -> str:
        return self.problem.detail

    @property
    def request_id(self) -> str | None:
        """By which the service's logs can be searched."""
        return self.problem.request_id

    @property
    def errors(self) -> Sequence[FieldFault]:
        """Every faulty field, all at once."""
        return self.problem.errors

    @property
    def retry_after_s(self) -> float | None:
        return self.problem.retry_after_s


class MalformedError(ApiError):
    """400: the body is not readable JSON."""


class AuthenticationError(ApiError):
    """401: no key, or one that is unknown, revoked or expired; set NETMILL_KEY."""


class ForbiddenError(ApiError):
    """403: the key is good but lacks the scope."""


class NotFoundError(ApiError):
    """404: unknown, or somebody else's."""


class ConflictError(ApiError):
    """409: the thing is in a state that does not allow this."""


class TooLargeError(ApiError):
    """413: more bytes or rows than the service's limit."""


class UnsupportedTypeError(ApiError):
    """415: a format that the service does not read."""


class InvalidError(ApiError):
    """422: readable but wrong; `errors` names each faulty field by its pointer."""


class RateLimitError(ApiError):
    """429: a rate or a quota is used up; `retry_after_s` says when to come back."""


class ServerError(ApiError):
    """5xx: the service failed."""


class UnavailableError(ServerError):
    """503: a part of the service is down or slow; `retry_after_s` says when to come back."""


class JobFailedError(NetmillError):
    """A job ended as `failed`; `code`, `pointer` and `hint` say why and what to change."""

    def __init__(self, job_id: str, code: str, detail: str, pointer: str | None, hint: str | None) -> None:
        where = f" (at {pointer})" if pointer else ""
        super().__init__(f"{job_id} failed: {detail}{where}{f'; {hint}' if hint else ''}")
        self.job_id = job_id
        self.code = code
        self.detail = detail
        self.pointer = pointer
        self.hint = hint


class AnalysisFailedError(NetmillError):
    """An analysis or experiment ended without an answer; `hint` says what to ask instead."""

    def __init__(self, analysis_id: str, code: str, detail: str, hint: str | None) -> None:
        super().__init__(f"{analysis_id} failed ({code}): {detail}" + (f"; {hint}" if hint else ""))
        self.analysis_id = analysis_id
        self.code = code
        self.detail = detail
        self.hint = hint


class WaitTimeoutError(NetmillError):
    """A job was not over in the time given to `wait`; it goes on."""


_BY_STATUS: dict[int, type[ApiError]] = {
    400: MalformedError,
    401: AuthenticationError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    413: TooLargeError,
    415: UnsupportedTypeError,
    422: InvalidError,
    429: RateLimitError,
    503: UnavailableError,
}


def api_error(problem: Problem) -> ApiError:
    """The error of this problem's status; an unknown 4xx is a plain ApiError, an unknown 5xx a ServerError."""
    return _BY_STATUS.get(problem.status, ServerError if problem.status >= 500 else ApiError)(problem)


def _in_words(problem: Problem) -> str:
    lines = [f"{problem.detail or problem.title} [{problem.status} {problem.code}]"]
    lines += [f"  {fault.pointer or '/'}: {fault.detail}" for fault in problem.errors[:SHOWN_FAULTS]]
    if (left := len(problem.errors) - SHOWN_FAULTS) > 0:
        lines.append(f"  … and {left} more of the kind")
    if problem.hint:
        lines.append(f"  hint: {problem.hint}")
    return "\n".join(lines)
