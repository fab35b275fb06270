"""An uploaded file to a stored data set, read by a child process with limits on memory, time and disk."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core import errors
from core.data.caps import MIB, Caps, bad_data, check_size, expansion_limit
from core.data.selection import TAKES, WHOLE, Selection
from core.spec.dataset import DatasetSchema
from core.spec.limits import Limits

FORMATS = tuple(TAKES)
_ROOT = Path(__file__).resolve().parents[2]
_REFUSALS = {
    kind.__name__: kind for kind in (errors.Invalid, errors.TooLarge, errors.UnsupportedType, errors.Unavailable)
}
# what the libraries map before they read a byte
_BASE_MEMORY = 2560 * MIB
# seconds without any processor time after which the child counts as stuck
_STALL_S = 4.0


@dataclass(frozen=True, slots=True)
class Ingested:
    """A data set in its stored form: the file, what it holds, and its first rows as JSON-safe dictionaries."""

    data_path: Path
    sha256: str
    bytes: int
    schema: DatasetSchema
    profile: dict[str, Any]
    preview: list[dict[str, Any]]


def ingest(
    source: Path,
    format: str,  # noqa: A002  # the name in the API
    workdir: Path,
    limits: Limits,
    selection: Selection = WHOLE,
) -> Ingested:
    """The data set that `source` holds, its file inside `workdir` (a folder that exists and is the caller's).

    `selection` says which parts of the file are meant. `profile["notes"]` tells what was left out, if anything was.
    Blocks while a child process reads it. Raises UnsupportedType for a format that is not read, TooLarge for what
    is above a limit, Invalid (code `bad_data`) for all else that is wrong, saying where; then no file is left.
    """
    if format not in FORMATS:
        raise errors.UnsupportedType(f"format {format[:50]!r} is not read, expected one of {', '.join(FORMATS)}")
    size = source.stat().st_size
    if not size:
        raise bad_data("the file is empty" + (": line 1 must hold the names of the columns" if format == "csv" else ""))
    check_size("the upload", size, limits.upload_bytes, "bytes")
    folder = Path(tempfile.mkdtemp(prefix="ingest-", dir=workdir))
    try:
        result = _read_in_child(source, format, folder, size, limits, selection=selection)
        data = folder / "data.safetensors"
        check_size("the data set once read", data.stat().st_size, limits.dataset_bytes, "bytes")
        return finished(data, workdir, result)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def finished(data: Path, out_dir: Path, described: dict[str, Any]) -> Ingested:
    """The record of a canonical file, which is moved into `out_dir` under its own sha256."""
    with data.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    path = out_dir / f"{sha256}.safetensors"
    data.replace(path)
    schema = DatasetSchema.model_validate(described["schema"])
    return Ingested(path, sha256, path.stat().st_size, schema, described["profile"], described["preview"])


def _read_in_child(
    source: Path, format_name: str, folder: Path, size: int, limits: Limits, *, selection: Selection = WHOLE
) -> dict[str, Any]:
    expanded = expansion_limit(size, limits.dataset_bytes)
    # small files may not take what large ones need: a bomb is over before it is felt
    seconds = min(limits.parse_seconds, 10 + 4 * size // MIB)
    memory = min(limits.parse_memory_bytes, _BASE_MEMORY + 6 * expanded)
    request = {
        "format": format_name,
        "source": str(source.resolve()),
        "selection": selection.json(),
        "caps": Caps(limits.dataset_rows, limits.dataset_columns, limits.dataset_bytes, expanded),
        "memory_bytes": memory,
        "cpu_s": seconds,
        "file_bytes": limits.dataset_bytes + MIB,
        "parent": os.getpid(),
    }
    (folder / "request.json").write_text(json.dumps(request))
    process = subprocess.Popen(  # noqa: S603  # our own module; the upload's name is not among the arguments
        [sys.executable, "-m", "core.data.child", str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd=folder,
        env=_environment(folder),
        start_new_session=True,
    )
    try:
        # twice the processor time: the machine may be busy with training
        complaint = _wait(process, min(limits.parse_seconds, 20 + 2 * seconds))
    except BaseException:
        process.kill()
        process.communicate()
        raise
    answer = folder / "result.json"
    if process.returncode != 0 or not answer.exists():
        raise _death(process.returncode, complaint, memory, seconds)
    result: dict[str, Any] = json.loads(answer.read_text())
    if "error" in result:
        raise _refusal(result)
    return result


def _refusal(told: dict[str, Any]) -> errors.NetmillError:
    """The child's error again."""
    kind = _REFUSALS[told["error"]]
    if kind is errors.Invalid:
        faults = [errors.FieldError(*fault) for fault in told["errors"]]
        return errors.Invalid(told["detail"], code=told["code"], hint=told["hint"], errors=faults)
    return kind(told["detail"], code=told["code"], hint=told["hint"])


def _wait(process: subprocess.Popen[bytes], seconds: float) -> bytes:
    """What the child wrote to its standard error, once it has ended; TooLarge after `seconds`, or when it is stuck.

    A thread of Polars that gets no memory may die with a lock that the others then wait for, without a word.
    """
    deadline, spent = time.monotonic() + seconds, -1.0
    while True:
        try:
            return process.communicate(timeout=max(0.0, min(_STALL_S, deadline - time.monotonic())))[1]
        except subprocess.TimeoutExpired as late:
            if time.monotonic() >= deadline:
                raise errors.TooLarge(f"reading the file took more than {seconds:.0f} s") from late
            before, spent = spent, _processor_s(process.pid)
            if spent - before < 0.01:
                raise errors.TooLarge("reading the file came to a halt, most likely for want of memory") from late


def _processor_s(pid: int) -> float:
    """Processor time of a process so far; where it cannot be told the clock, which never stalls."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return time.monotonic()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _environment(folder: Path) -> dict[str, str]:
    """Nothing of ours: no credentials, two threads, temporary files where they are removed."""
    return {
        "PYTHONPATH": str(_ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": str(folder),
        "POLARS_MAX_THREADS": "2",
        "OPENBLAS_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "2",
    }


def _death(code: int, complaint: bytes, memory: int, seconds: int) -> errors.NetmillError:
    """Why the child ended without an answer, in words for whoever sent the file."""
    if code == -signal.SIGXCPU or (code == -signal.SIGKILL and not complaint):
        return errors.TooLarge(f"reading the file took more than {seconds} s of processor time, or too much memory")
    if b"memory" in complaint.lower():
        return errors.TooLarge(
            f"reading the file takes more than {memory:,} bytes of memory: it is larger than it looks, or damaged"
        )
    name = signal.Signals(-code).name if code < 0 else f"exit status {code}"
    return bad_data(f"the reader ended on this file ({name}): it is damaged or was made to do harm")
