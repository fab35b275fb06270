"""Wake-ups and hints through a real broker, and without one."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator

import pytest

from core.queue import ENOUGH_WAKES, HINTS_CHANNEL, PREFIX, Queue, make_celery
from tests.support.service import wait_until
from tests.support.valkey import Valkey


@pytest.fixture
def broker() -> Iterator[Valkey]:
    broker = Valkey()
    broker.start()
    yield broker
    broker.close()


@pytest.fixture
def queue(broker: Valkey) -> Iterator[Queue]:
    queue = Queue(broker.url, socket_timeout_s=0.3)
    yield queue
    queue.close()


def test_a_wake_up_is_one_json_message_that_names_the_job(broker: Valkey, queue: Queue) -> None:
    assert queue.publish_wake("job_1")
    message = json.loads(broker.client().rpop(f"{PREFIX}wake.cpu"))
    assert message["headers"]["task"] == "netmill.wake"
    assert message["headers"]["argsrepr"] == "['job_1']"
    assert message["headers"]["expires"] is not None
    assert message["content-type"] == "application/json"
    assert queue.failures == 0


def test_prediction_hints_arrive_in_order_and_do_not_pile_up(broker: Valkey, queue: Queue) -> None:
    for number in range(1200):
        assert queue.publish_predict(f"pred_{number}")
    assert broker.client().llen(f"{PREFIX}predict") == 1000
    assert queue.next_predict(1) == "pred_200"
    assert queue.next_predict(1) == "pred_201"


def test_waiting_for_a_prediction_ends_in_time(queue: Queue) -> None:
    began = time.monotonic()
    assert queue.next_predict(0.5) is None
    assert 0.3 < time.monotonic() - began < 2
    assert queue.failures == 0


def test_a_subscriber_hears_what_is_notified_and_comes_back_after_a_restart(broker: Valkey, queue: Queue) -> None:
    listener = queue.subscribe()
    assert listener.get(0.05) is None
    assert queue.notify("job_7")
    assert listener.get(2) == "job_7"
    assert queue.notify_all(["job_5", "job_6"])
    assert [listener.get(2), listener.get(2)] == ["job_5", "job_6"]
    broker.kill()
    assert listener.get(0.05) is None
    broker.start()

    def heard() -> bool:
        broker.client().publish(HINTS_CHANNEL, "job_8")
        return listener.get(0.1) == "job_8"

    wait_until(heard, "a hint after the restart", 10)
    listener.close()


def test_nothing_raises_and_everything_is_counted_while_the_broker_is_away(broker: Valkey, queue: Queue) -> None:
    broker.kill()
    assert not queue.publish_wake("job_1")
    assert not queue.publish_predict("pred_1")
    assert not queue.notify("job_1")
    assert not queue.notify_all(["job_1", "job_2"])
    assert not queue.ping()
    assert queue.failures == 5
    broker.start()
    wait_until(lambda: queue.publish_wake("job_2"), "publishing again", 10)
    assert queue.ping()


def test_a_frozen_broker_holds_one_call_for_its_timeout_and_the_next_not_at_all(broker: Valkey, queue: Queue) -> None:
    assert queue.publish_wake("job_1")
    broker.signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        assert not queue.publish_wake("job_2")
        assert time.monotonic() - began < 1.5
        began = time.monotonic()
        assert not queue.publish_wake("job_3")
        assert not queue.notify("job_3")
        assert time.monotonic() - began < 0.05
    finally:
        broker.signal(signal.SIGCONT)


def test_the_celery_application_is_that_of_wake_ups(broker: Valkey) -> None:
    conf = make_celery(broker.url, "wake.gpu", socket_timeout_s=1).conf
    assert conf.task_acks_late is False
    assert conf.result_backend is None
    assert conf.accept_content == ["json"]
    assert conf.broker_connection_max_retries is None
    assert conf.task_default_queue == "wake.gpu"


def test_jobs_of_one_commit_are_a_wake_up_each_until_enough_of_them_lie_there(broker: Valkey, queue: Queue) -> None:
    key = f"{PREFIX}wake.cpu"
    assert queue.publish_wakes([]) == 0
    assert queue.publish_wakes([f"job_{n}" for n in range(3)]) == 3
    assert [json.loads(text)["headers"]["argsrepr"] for text in broker.client().lrange(key, 0, -1)] == [
        "['job_2']",
        "['job_1']",
        "['job_0']",
    ]
    assert queue.publish_wakes([f"job_{n}" for n in range(40)]) == ENOUGH_WAKES - 3
    assert queue.publish_wakes(["job_1", "job_2"]) == 0
    assert queue.publish_wakes(["job_1"]) == 0
    broker.client().delete(key)
    assert queue.publish_wakes(["job_1", "job_2"]) == 2
    assert queue.failures == 0
