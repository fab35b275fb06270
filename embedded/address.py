"""Where the service listens: which addresses need a key, and a port that is ours."""

from __future__ import annotations

import errno
import ipaddress
import socket
import sys
import time


class AddressUnusable(Exception):
    """The address cannot be listened on; the message says why and what to choose instead."""


def is_loopback(host: str) -> bool:
    """True when only this machine can reach the host; a name other than localhost counts as reachable by all."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def reserve(host: str, port: int, patience_s: float = 2.0) -> tuple[int, socket.socket | None]:
    """A port that is free on the host (any free one for 0), and what keeps it ours until the API listens.

    On Linux a socket that is bound with SO_REUSEADDR and does not listen keeps others from being handed the port, while
    the API, which sets the same option, may still bind it. A predecessor killed a moment ago may still be letting go of
    the port, hence the patience.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    end = time.monotonic() + patience_s
    while True:
        holder = socket.socket(family, socket.SOCK_STREAM)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            holder.bind((host, port))
        except OSError as error:
            holder.close()
            if error.errno != errno.EADDRINUSE or port == 0:
                raise AddressUnusable(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
            if time.monotonic() < end:
                time.sleep(0.05)
                continue
            raise AddressUnusable(
                f"port {port} on {host} is taken by another program; choose another with --port N, "
                "or let a free one be found with --port 0"
            ) from error
        found = int(holder.getsockname()[1])
        if sys.platform == "linux":
            return found, holder
        holder.close()  # elsewhere the API could not bind beside it
        return found, None


def url_of(host: str, port: int) -> str:
    """The URL under which this machine reaches a service that listens on the host."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # translated, not listened on
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"
