"""The one task, and the threads that it runs in. A wake-up says "look", and carries nothing that is needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery import Celery
from celery.concurrency.thread import TaskPool
from kombu.asynchronous import get_event_loop

from core.queue import WAKE_TASK
from worker.slots import Slots


def register(app: Celery, slots: Slots) -> None:
    """Makes `app` answer wake-ups by looking for queued jobs with these slots."""

    def wake(job_id: str) -> None:
        # any queued job will do: the claim takes the one whose turn it is, and one message heals the loss of others
        del job_id
        slots.wake()

    app.task(wake, name=WAKE_TASK, ignore_result=True, acks_late=False)


class PromptPool(TaskPool):  # type: ignore[misc]  # celery ships no types
    """Celery's pool of threads, which tells the event loop when one of them is free again.

    Without prefetching the loop asks the broker for nothing while all threads are taken, and would
    notice a free one at its next tick alone, up to a second later (celery 5.7, kombu 5.7).
    """

    def on_apply(self, target: Callable[..., Any], *args: Any, callback: Callable[..., Any], **more: Any) -> Any:
        def then_wake(*outcome: Any) -> None:
            callback(*outcome)
            loop = get_event_loop()
            if loop is not None:
                loop.call_soon(int)  # type: ignore[no-untyped-call]

        return super().on_apply(target, *args, callback=then_wake, **more)
