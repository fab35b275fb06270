"""Netmill's client: submit a network as JSON, follow its training, take the model away.

>>> from netmill import Client
>>> job = Client().train({"data": {"dataset": "digits"}, "network": {"family": "feed_forward"}})  # doctest: +SKIP
>>> job.wait().result.metrics["test.accuracy"]  # doctest: +SKIP
0.97
"""

from netmill.analysis import Analysis
from netmill.client import Client
from netmill.errors import (
    AnalysisFailedError,
    ApiError,
    AuthenticationError,
    ConflictError,
    ConnectionFailed,
    FieldFault,
    ForbiddenError,
    IntegrityError,
    InvalidError,
    JobFailedError,
    MalformedError,
    NetmillError,
    NotFoundError,
    Problem,
    RateLimitError,
    ServerError,
    TimedOut,
    TooLargeError,
    TransportError,
    UnavailableError,
    UnsupportedTypeError,
    WaitTimeoutError,
)
from netmill.job import Job
from netmill.models import Checkpoint, Dataset, Event, Plan, Prediction
from netmill.retry import RetryPolicy
from netmill.table import Table
from netmill.version import __version__

__all__ = [
    "Analysis",
    "AnalysisFailedError",
    "ApiError",
    "AuthenticationError",
    "Checkpoint",
    "Client",
    "ConflictError",
    "ConnectionFailed",
    "Dataset",
    "Event",
    "FieldFault",
    "ForbiddenError",
    "IntegrityError",
    "InvalidError",
    "Job",
    "JobFailedError",
    "MalformedError",
    "NetmillError",
    "NotFoundError",
    "Plan",
    "Prediction",
    "Problem",
    "RateLimitError",
    "RetryPolicy",
    "ServerError",
    "Table",
    "TimedOut",
    "TooLargeError",
    "TransportError",
    "UnavailableError",
    "UnsupportedTypeError",
    "WaitTimeoutError",
    "__version__",
]
