"""A process that reads somebody's file opens nothing else meanwhile, whatever the file asks for."""

from __future__ import annotations

import codecs
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager

# loaded by Python when first asked for, which would be too late
_CODECS = ("ascii", "latin-1", "utf-8", "utf-16-le")


@contextmanager
def no_more_files() -> Iterator[None]:
    """Within it every open fails, in C libraries too; files that are open stay so.

    Modules that are imported when they are first needed must be imported before.
    """
    for codec in _CODECS:
        codecs.lookup(codec)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # the number that the next file would get
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
