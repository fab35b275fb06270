"""Everything an operator can set, read from the environment once, by entry points alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.spec.limits import Limits


class LimitSettings(Limits, BaseSettings):
    """The limits, each from NETMILL_LIMIT_<NAME>."""

    model_config = SettingsConfigDict(env_prefix="NETMILL_LIMIT_", frozen=True)


class Settings(BaseSettings):
    """The service's settings; the environment variable is NETMILL_<NAME> unless an alias is given."""

    model_config = SettingsConfigDict(env_prefix="NETMILL_", frozen=True, populate_by_name=True)

    database_url: str = Field(alias="DATABASE_URL", description="SQLAlchemy URL, sqlite:/// or postgresql+psycopg://")
    redis_url: str = Field(alias="REDIS_URL", description="broker: redis://... or redis+socket:///path")
    data_dir: Path = Field(Path("netmill-data"), description="folder for caches, temporary files and folder storage")
    mode: Literal["embedded", "server"] = Field("server", description="embedded: started by `netmill up`")
    storage: str = Field("database", description="where blobs stand: 'database', or 'file:///a/folder'")

    host: str = Field("127.0.0.1", description="address that the API listens on")
    port: int = Field(8000, description="port that the API listens on")
    auth: Literal["off", "keys"] = Field("keys", description="'off' is allowed on loopback in embedded mode alone")
    admin_key: SecretStr | None = Field(None, description="the first admin key, nm_...")

    worker_name: str | None = Field(
        None, description="stable name of this worker; none: host name and first free number"
    )
    slots: int = Field(1, description="runners at once in one worker", ge=1)
    threads: int = Field(0, description="OpenMP threads of a runner; 0: cores divided by slots", ge=0)
    cohort_max: int = Field(64, description="jobs that train together in one runner at most; 1: each alone", ge=1)
    queue: str = Field("wake.cpu", description="queue that jobs go to, and that this worker takes them from")
    lease_s: float = Field(30.0, description="seconds a claim stands without a heartbeat")
    heartbeat_s: float = Field(5.0, description="seconds between heartbeats")
    poll_s: float = Field(3.0, description="seconds between looks at the database by a worker with a free slot")
    sweep_s: float = Field(5.0, description="seconds between sweeps")
    republish_s: float = Field(30.0, description="seconds after which a lost wake-up is sent again")
    backoff_s: float = Field(5.0, description="first wait before a crashed job is tried again; doubles each time")
    control_s: float = Field(0.5, description="seconds between looks for cancel and pause")
    flush_s: float = Field(0.5, description="seconds between writes of a run's events")
    max_crashes: int = Field(3, description="crashes with no new checkpoint between them before a job fails")
    drain_s: float = Field(25.0, description="seconds a shutdown waits for runners to write their checkpoint")
    stop_s: float = Field(10.0, description="seconds a runner may take to obey a cancel or a pause before it is killed")
    stall_s: float = Field(
        600.0,
        description="seconds without a word after which a runner counts as hung: longer than any one step may take",
    )
    checkpoint_every_s: float = Field(30.0, description="seconds between checkpoints inside a long epoch, at most")
    runner_memory_bytes: int = Field(
        0, description="bytes a CPU runner may map beyond what it starts with; 0: no limit", ge=0
    )
    prepared_bytes: int = Field(
        8 * 1024**3,
        description="bytes of prepared data that the workers of one data folder keep on disk and map; 0: none",
        ge=0,
    )
    compiled_bytes: int = Field(
        2 * 1024**3, description="bytes of compiled code that a worker keeps for later jobs of the same shape", ge=0
    )
    idempotency_ttl_s: float = Field(24 * 3600.0, description="seconds an idempotency key is remembered")
    predict_wait_s: float = Field(10.0, description="seconds a request for a prediction waits before 503")
    analysis_s: float = Field(300.0, description="seconds that one analysis or experiment may take")

    log_level: str = Field("INFO", description="least level that is logged")
    log_format: Literal["json", "console"] = Field("json", description="json: one object a line")
    limits: Limits = Field(default_factory=LimitSettings)

    @classmethod
    def from_env(cls) -> Settings:
        """Settings from the environment; a missing or bad one raises pydantic's ValidationError."""
        return cls()

    def cohort_bytes(self) -> int:
        """Memory that the jobs of one runner may need together by estimate: its limit, else half of its share of the
        machine."""
        return self.runner_memory_bytes or _memory_bytes() // (2 * self.slots)

    def runner_threads(self) -> int:
        """OpenMP threads each runner gets; recorded in its checkpoints, for a resume is exact only with as many."""
        return self.threads or max(1, (os.cpu_count() or 1) // self.slots)


def _memory_bytes() -> int:
    """Bytes of memory of the machine, or of the container where that has less."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        return min(machine, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    except (OSError, ValueError):
        # no container, or none with a limit ("max")
        return machine
