"""Ids sort by time, are UUIDv7 and never repeat, whatever thread makes them."""

import threading
import time
import uuid

from core.ids import new_id, uuid7_hex


def test_an_id_names_its_kind_and_is_a_uuid_of_version_7() -> None:
    prefix, _, tail = new_id("job").partition("_")
    assert prefix == "job"
    parsed = uuid.UUID(hex=tail)
    assert parsed.version == 7
    assert parsed.variant == uuid.RFC_4122


def test_the_first_48_bits_are_the_unix_time_in_milliseconds() -> None:
    before = time.time_ns() // 1_000_000
    stamp = int(uuid7_hex(), 16) >> 80
    assert before <= stamp <= time.time_ns() // 1_000_000 + 5


def test_ids_of_one_process_rise_strictly_even_within_a_millisecond() -> None:
    made = [uuid7_hex() for _ in range(20_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_threads_never_make_the_same_id() -> None:
    made: list[str] = []
    threads = [threading.Thread(target=lambda: made.extend(uuid7_hex() for _ in range(2_000))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 8_000
