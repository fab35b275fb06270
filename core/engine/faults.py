"""What a run's last event says of whatever it raised: a fault is told and not retried."""

from __future__ import annotations

import errno
import sys
import traceback
from contextlib import suppress

import torch

from core.errors import NetmillError, TrainingFailed
from core.events import Failed


def is_out_of_memory(fault: BaseException) -> bool:
    """Whether it says that memory was refused; PyTorch's own words on a CPU are those of any RuntimeError."""
    match fault:
        case MemoryError() | torch.OutOfMemoryError() | OSError(errno=errno.ENOMEM):
            # the last: a file that cannot be mapped for want of memory is no fault of the disk
            return True
        case RuntimeError():
            return "can't allocate memory" in str(fault)
    return False


def last_word(fault: Exception) -> Failed:
    """How the run ends that raised `fault`; a trace of one that is ours goes to the log.

    A disk that is full or broken is no fault of any run: its OSError is raised again, and ends the process.
    """
    match fault:
        case TrainingFailed():
            return Failed(fault.code, fault.detail, hint=fault.hint, pointer=fault.pointer, epoch=fault.epoch)
        case NetmillError():
            return Failed("data_error", fault.detail, hint=fault.hint, pointer="/data")
        case _ if is_out_of_memory(fault):
            return Failed(
                "out_of_memory",
                f"the run needs more memory than a runner may use: {fault or 'allocation refused'}",
                hint="use a smaller batch, a smaller network or fewer features",
                pointer="/training/batch_size",
            )
        case OSError():
            raise fault
    log_trace(fault)
    return internal(f"{type(fault).__name__}: {fault}")


def internal(detail: str) -> Failed:
    """The end of a run that met a fault of ours."""
    return Failed(
        "internal",
        f"the run met a fault of the service: {detail}",
        hint="this is not your spec's fault; report it with the job's id",
    )


def log_trace(fault: BaseException) -> None:
    """Writes the trace to the process's log, which may stand on the disk that is full."""
    with suppress(OSError):
        traceback.print_exception(fault)
        sys.stderr.flush()
