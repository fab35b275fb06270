"""The one table of transitions: complete, and true to what each status promises."""

from core.states import TERMINAL, TRANSITIONS, Status, may_follow


def test_every_status_has_a_row() -> None:
    assert set(TRANSITIONS) == set(Status)


def test_a_terminal_status_is_left_only_by_continue() -> None:
    for status in TERMINAL:
        assert TRANSITIONS[status] == {Status.QUEUED}


def test_every_status_can_still_reach_an_end() -> None:
    for start in Status:
        reached, frontier = {start}, [start]
        while frontier:
            for after in TRANSITIONS[frontier.pop()] - reached:
                reached.add(after)
                frontier.append(after)
        assert reached >= TERMINAL


def test_only_a_running_job_succeeds_or_fails() -> None:
    for after in (Status.SUCCEEDED, Status.FAILED):
        assert [before for before in Status if may_follow(before, after)] == [Status.RUNNING]


def test_a_paused_job_does_not_run_without_being_queued_first() -> None:
    assert not may_follow(Status.PAUSED, Status.RUNNING)
