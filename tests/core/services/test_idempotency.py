"""The same key and body give the same answer, also when two come at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest

from core.db.session import Sessions, transaction
from core.db.tables import IdempotencyKey
from core.errors import Invalid
from core.services import idempotency
from core.services.idempotency import InProgress, Mine, Replay, Taking, request_hash
from core.services.principal import LOCAL, Principal

REQUEST = request_hash("POST", "/v1/jobs", b"{}")
OTHER = request_hash("POST", "/v1/jobs", b"{ }")


def begin(
    sessions: Sessions, key: str = "k", request: str = REQUEST, who: Principal = LOCAL, **times: float
) -> Mine | Replay | InProgress:
    with transaction(sessions) as session:
        return idempotency.begin(session, who, key, request, **{"ttl_s": 86400.0, **times})


def complete(sessions: Sessions, key: str = "k") -> None:
    with transaction(sessions) as session:
        idempotency.complete(session, LOCAL, key, status=201, body='{"id": "job_1"}', headers={"location": "/x"})


def test_the_second_gets_the_answer_of_the_first(sessions: Sessions) -> None:
    assert begin(sessions) == Mine()
    assert begin(sessions) == InProgress()
    complete(sessions)
    for _ in range(2):
        assert begin(sessions) == Replay(201, '{"id": "job_1"}', {"location": "/x"})


def test_another_body_is_refused(sessions: Sessions) -> None:
    begin(sessions)
    for _ in range(2):
        with pytest.raises(Invalid) as caught:
            begin(sessions, request=OTHER)
        assert caught.value.code == "idempotency_key_reused"
        complete(sessions)


def test_nothing_was_done(sessions: Sessions) -> None:
    begin(sessions)
    with transaction(sessions) as session:
        idempotency.abandon(session, LOCAL, "k")
    assert begin(sessions, request=OTHER) == Mine()


def test_an_answer_is_not_abandoned(sessions: Sessions) -> None:
    begin(sessions)
    complete(sessions)
    with transaction(sessions) as session:
        idempotency.abandon(session, LOCAL, "k")
    assert isinstance(begin(sessions), Replay)


def test_projects_do_not_share_keys(sessions: Sessions, stranger: Principal) -> None:
    begin(sessions)
    complete(sessions)
    assert begin(sessions, request=OTHER, who=stranger) == Mine()


def test_a_request_that_died_and_an_answer_that_is_old(sessions: Sessions) -> None:
    begin(sessions)
    assert begin(sessions, stale_s=0.0) == Mine()
    complete(sessions)
    with transaction(sessions) as session:
        session.get_one(IdempotencyKey, ("default", "k")).created_at -= timedelta(days=2)
    assert begin(sessions, request=OTHER) == Mine()
    assert begin(sessions, request=OTHER) == InProgress()


def test_of_many_at_once_one_is_first(sessions: Sessions) -> None:
    barrier = Barrier(10)

    def one(_: int) -> object:
        barrier.wait()
        return begin(sessions)

    with ThreadPoolExecutor(10) as threads:
        found = list(threads.map(one, range(10)))
    assert found.count(Mine()) == 1
    assert found.count(InProgress()) == 9


@pytest.mark.parametrize("key", ["", "x" * 256, "a\x00b", "\ud800"])
def test_keys_that_cannot_be(sessions: Sessions, key: str) -> None:
    with pytest.raises(Invalid):
        begin(sessions, key)


def test_what_makes_two_requests_the_same() -> None:
    assert request_hash("POST", "/v1/jobs", b"{}") == REQUEST
    assert len({REQUEST, OTHER, request_hash("POST", "/v1/job", b"s{}"), request_hash("PUT", "/v1/jobs", b"{}")}) == 4


def begin_each(sessions: Sessions, *keys: tuple[str, str]) -> list[object]:
    with transaction(sessions) as session:
        takings = [Taking("default", key, request) for key, request in keys]
        return [*idempotency.begin_each(session, takings, ttl_s=86400.0)]


def test_several_keys_at_once_have_the_outcomes_that_they_would_have_one_by_one(sessions: Sessions) -> None:
    begin(sessions, "done")
    complete(sessions, "done")
    begin(sessions, "busy")
    told = begin_each(
        sessions, ("z", REQUEST), ("done", REQUEST), ("a", REQUEST), ("done", OTHER), ("z", OTHER), ("busy", REQUEST)
    )
    assert told[:3] == [Mine(), Replay(201, '{"id": "job_1"}', {"location": "/x"}), Mine()]
    # of two that come together the later waits, and is told next time what is wrong with it
    assert told[3:] == [InProgress(), InProgress(), InProgress()]
    again = begin_each(sessions, ("done", OTHER), ("z", OTHER))
    assert [type(each) for each in again] == [Invalid, Invalid]


def test_answers_of_several_are_stored_each_under_its_key(sessions: Sessions) -> None:
    begin_each(sessions, ("a", REQUEST), ("b", OTHER))
    with transaction(sessions) as session:
        answers = [idempotency.Answered("default", key, 201, f"{key}!", {"n": key}) for key in "ab"]
        idempotency.complete_each(session, answers)
        idempotency.complete_each(session, [])
    assert begin(sessions, "a") == Replay(201, "a!", {"n": "a"})
    assert begin(sessions, "b", OTHER) == Replay(201, "b!", {"n": "b"})


def test_two_who_take_the_same_keys_in_other_orders_do_not_wait_for_each_other(sessions: Sessions) -> None:
    keys, gate = [(f"k{n}", REQUEST) for n in range(20)], Barrier(2)

    def take(order: int) -> list[object]:
        gate.wait(10)
        return begin_each(sessions, *keys[::order])

    with ThreadPoolExecutor(2) as pool:
        one, other = (future.result(30) for future in [pool.submit(take, 1), pool.submit(take, -1)])
    assert sorted([one == [Mine()] * 20, other == [Mine()] * 20]) == [False, True]
