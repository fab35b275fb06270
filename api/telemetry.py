"""Figures for Prometheus. Each application has its own registry, so two in one process do not mix."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

# long polls hold for up to a minute, everything else is far below a second
BUCKETS_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 70.0)
MEDIA_TYPE = CONTENT_TYPE_LATEST


class Telemetry:
    """What one API process counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("method", "route", "status")
        self.requests = Counter("netmill_http_requests", "requests answered", labels, registry=self.registry)
        self.seconds = Histogram(
            "netmill_http_request_seconds",
            "seconds from request to the end of the answer",
            ("method", "route"),
            buckets=BUCKETS_S,
            registry=self.registry,
        )
        self.in_flight = Gauge("netmill_http_requests_in_flight", "requests being answered", registry=self.registry)
        self.waiters = Gauge("netmill_waiters", "long polls, streams and predictions waiting", registry=self.registry)
        self.looks = Counter("netmill_watcher_looks", "queries made on behalf of all waiters", registry=self.registry)
        self.jobs = Gauge("netmill_jobs", "jobs by status", ("status",), registry=self.registry)
        self.queued = Gauge("netmill_queue_depth", "jobs waiting by queue", ("queue",), registry=self.registry)
        self.workers = Gauge("netmill_workers", "workers seen in the last 30 s", registry=self.registry)
        self.broker_failures = Gauge(
            "netmill_broker_failures", "messages that the broker did not take", registry=self.registry
        )

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Counts one request; `route` is the template, so that ids make no new series."""
        self.requests.labels(method, route, str(status)).inc()
        self.seconds.labels(method, route).observe(seconds)

    def counted(self, jobs: Mapping[str, int], queued: Mapping[str, int], workers: int) -> None:
        """Takes over what the database says; a status or queue that has gone is zero, not what it was."""
        for gauge, found in ((self.jobs, jobs), (self.queued, queued)):
            gauge.clear()
            for name, count in found.items():
                gauge.labels(name).set(count)
        self.workers.set(workers)

    def exposition(self) -> bytes:
        """All figures in Prometheus' text format."""
        return generate_latest(self.registry)
