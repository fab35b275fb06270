"""Which addresses are safe without a key, and ports that are ours."""

from __future__ import annotations

import socket

import pytest

from embedded.address import AddressUnusable, is_loopback, reserve, url_of


@pytest.mark.parametrize(
    ("host", "only_here"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("localhost", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.5", False),
        ("", False),
        ("127.0.0.1.evil.example", False),
        ("::ffff:10.0.0.1", False),
    ],
)
def test_loopback(host: str, only_here: bool) -> None:
    assert is_loopback(host) is only_here


def test_a_free_port_is_found_and_stays_ours_until_the_api_listens() -> None:
    port, holder = reserve("127.0.0.1", 0)
    assert holder is not None
    others = [reserve("127.0.0.1", 0) for _ in range(20)]
    assert port not in {other for other, _ in others}
    api = socket.create_server(("127.0.0.1", port))  # sets SO_REUSEADDR as uvicorn does
    with socket.create_connection(("127.0.0.1", port), timeout=5):
        pass
    for open_socket in (api, holder, *(other for _, other in others)):
        assert open_socket is not None
        open_socket.close()


def test_a_taken_port_is_refused_in_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(AddressUnusable, match=rf"port {port} on 127.0.0.1 is taken.*--port 0"):
            reserve("127.0.0.1", port, patience_s=0.1)


def test_a_foreign_address_is_refused_in_words() -> None:
    with pytest.raises(AddressUnusable, match=r"cannot listen on 203\.0\.113\.7:0"):
        reserve("203.0.113.7", 0)


def test_the_url_is_one_that_this_machine_reaches() -> None:
    assert url_of("127.0.0.1", 8000) == "http://127.0.0.1:8000"
    assert url_of("0.0.0.0", 80) == "http://127.0.0.1:80"
    assert url_of("::", 80) == "http://[::1]:80"
