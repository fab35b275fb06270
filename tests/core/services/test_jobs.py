"""Jobs as their users handle them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from core.db.session import reading, transaction
from core.db.tables import JobEvent, JobSpecs, Metric
from core.errors import Conflict, Forbidden, Invalid, NotFound
from core.services import checkpoints, events, jobs, metrics, watch
from core.services.job_view import JobView
from core.services.merge_patch import merge_patch
from core.services.principal import LOCAL, Principal
from core.states import Status
from tests.support.training import FINISHED, House, body, row

READER = Principal("default", frozenset({"read"}))


def finished(house: House) -> JobView:
    job = house.submit()
    house.record(house.take(), row(1), house.checkpoint(1, is_best=True), FINISHED)
    return house.job(job.id)


def ids(house: House, principal: Principal = LOCAL, **filters: str | int | None) -> list[str]:
    with reading(house.sessions) as session:
        return [job.id for job in jobs.list_jobs(session, principal, **filters).data]  # type: ignore[arg-type]


class TestSubmit:
    def test_a_new_job(self, house: House) -> None:
        job = house.submit(tags={"group": "a"})
        assert (job.status, job.terminal, job.queue_position, job.attempt) == ("queued", False, 1, 0)
        assert (job.name, job.tags, job.dataset, job.parent) == ("small", {"group": "a"}, "iris", None)
        assert job.progress == {
            "epoch": 0, "epochs": 20, "step": 0, "steps": job.progress["steps"], "eta_s": None, "samples_per_s": None
        }  # fmt: skip
        assert job.progress["steps"] > 0
        assert job.spec["optimizer"]["type"] == "adam"
        assert job.transitions[0].time == job.created_at
        assert house.job(job.id) == job

    def test_every_fault_at_once(self, house: House) -> None:
        with pytest.raises(Invalid) as caught:
            house.submit(data={"dataset": "nowhere"}, optimizer={"type": "adam", "lr": -1})
        assert {error.pointer for error in caught.value.errors} >= {"/data/dataset", "/optimizer/lr"}

    def test_a_dry_run_makes_nothing(self, house: House) -> None:
        with reading(house.sessions) as session:
            plan = jobs.check(session, LOCAL, body(), house.limits)
        assert plan.total_steps > 0
        assert ids(house) == []

    def test_warnings_of_the_plan_are_events(self, house: House) -> None:
        layers = [{"type": "linear", "units": 4}, {"type": "linear", "units": 4}]
        job = house.submit(network={"layers": layers})
        with reading(house.sessions) as session:
            found = events.page(session, LOCAL, job.id).data
        assert [event.type for event in found][:2] == ["status", "warning"]


class TestProjects:
    def test_everything_of_another_project_is_not_found(self, house: House, stranger: Principal) -> None:
        job = finished(house)
        checkpoint = job.last_checkpoint
        assert checkpoint
        reads: list[Callable[..., object]] = [
            lambda session: jobs.get(session, stranger, job.id),
            lambda session: jobs.cancel(session, stranger, job.id),
            lambda session: jobs.pause(session, stranger, job.id),
            lambda session: jobs.resume(session, stranger, job.id),
            lambda session: jobs.continue_(session, stranger, job.id, 1, house.limits),
            lambda session: jobs.clone(session, stranger, job.id, {}, house.limits),
            lambda session: jobs.delete(session, house.store, stranger, job.id),
            lambda session: metrics.page(session, stranger, job.id),
            lambda session: events.page(session, stranger, job.id),
            lambda session: checkpoints.list_checkpoints(session, stranger, job.id),
            lambda session: checkpoints.get(session, stranger, checkpoint),
            lambda session: checkpoints.choose(session, stranger, job.id, "best"),
            lambda session: checkpoints.delete(session, house.store, stranger, checkpoint),
        ]
        for read in reads:
            with pytest.raises(NotFound), transaction(house.sessions) as session:
                read(session)
        assert ids(house, stranger) == []

    def test_who_may_only_read_changes_nothing(self, house: House) -> None:
        job = finished(house)
        with pytest.raises(Forbidden):
            house.submit(READER)
        for action in (jobs.cancel, jobs.pause, jobs.resume):
            with pytest.raises(Forbidden):
                house.do(action, job.id, principal=READER)
        assert house.job(job.id, READER).id == job.id

    @pytest.mark.parametrize("job_id", ["job_0", "", "job_\x00", "job_\ud800", "ds_1", "%", "x" * 5000])
    def test_strange_ids(self, house: House, job_id: str) -> None:
        with pytest.raises(NotFound):
            house.job(job_id)


class TestList:
    def test_pages_newest_first(self, house: House) -> None:
        made = [house.submit().id for _ in range(5)][::-1]
        cursor, seen = None, []
        for _ in range(3):
            with reading(house.sessions) as session:
                page = jobs.list_jobs(session, LOCAL, limit=2, cursor=cursor)
            seen += [job.id for job in page.data]
            cursor = page.next_cursor
        assert seen == made
        assert cursor is None

    def test_filters(self, house: House) -> None:
        one = house.submit(tags={"group": "a", "x y": "1"}).id
        two = house.submit(tags={"group": "b"}, data={"dataset": "wine"}).id
        house.do(jobs.cancel, two)
        assert ids(house, tag="group") == [two, one]
        assert ids(house, tag="group=a") == [one]
        assert ids(house, tag="x y=1") == [one]
        assert ids(house, tag="nothing") == []
        assert ids(house, status="queued") == [one]
        assert ids(house, dataset="wine") == [two]
        assert ids(house, dataset="wine", status="queued") == []
        assert ids(house, dataset="wine", tag="group", status="cancelled") == [two]
        assert ids(house, dataset="iris", tag="group=b") == []
        assert ids(house, tag="group", status="queued") == [one]

    @pytest.mark.parametrize("tag", ["", "=", "a'b", 'a"b', "$.group", "\x00", "\ud800", "a=b=c", "{}", "[0]"])
    def test_strange_tags_find_nothing(self, house: House, tag: str) -> None:
        house.submit(tags={"group": "a"})
        assert ids(house, tag=tag) == []

    @pytest.mark.parametrize(
        "filters", [{"status": "dancing"}, {"cursor": "'; --"}, {"cursor": "\x00"}, {"cursor": "zz"}]
    )
    def test_what_cannot_be_asked(self, house: House, filters: dict[str, str]) -> None:
        with pytest.raises(Invalid):
            ids(house, **filters)


class TestActions:
    def test_a_queued_job_is_cancelled_at_once(self, house: House) -> None:
        view = house.do(jobs.cancel, house.submit().id)
        assert (view.status, view.terminal) == ("cancelled", True)
        assert view.finished_at == view.transitions[-1].time

    def test_a_queued_job_pauses_at_once_and_queues_up_again(self, house: House) -> None:
        first, second = house.submit().id, house.submit().id
        assert house.do(jobs.pause, first).status == "paused"
        assert house.do(jobs.pause, first).status == "paused"
        assert house.job(second).queue_position == 1
        view = house.do(jobs.resume, first)
        assert (view.status, view.queue_position) == ("queued", 2)
        assert house.do(jobs.resume, first).status == "queued"
        assert house.do(jobs.cancel, house.do(jobs.pause, first).id).status == "cancelled"

    def test_nothing_more_happens_to_a_job_that_is_over(self, house: House) -> None:
        job = finished(house)
        for action in (jobs.cancel, jobs.pause, jobs.resume):
            with pytest.raises(Conflict) as caught:
                house.do(action, job.id)
            assert caught.value.code == "job_finished"

    def test_a_job_that_is_being_cancelled_cannot_pause(self, house: House) -> None:
        job = house.submit()
        house.take()
        assert house.do(jobs.cancel, job.id).cancel_requested
        with pytest.raises(Conflict):
            house.do(jobs.pause, job.id)

    def test_pause_and_claim_race(self, house: House) -> None:
        for _ in range(15):
            job = house.submit()
            with ThreadPoolExecutor(2) as threads:
                paused, claim = threads.submit(house.do, jobs.pause, job.id), threads.submit(house.claim)
                paused.result()
            view = house.job(job.id)
            if claim.result() is None:
                assert view.status == "paused"
            else:
                assert (view.status, view.pause_requested) == ("running", True)
            house.do(jobs.cancel, job.id)


class TestContinue:
    def test_it_goes_on_from_the_last_checkpoint(self, house: House) -> None:
        job = finished(house)
        view = house.do(jobs.continue_, job.id, 5, house.limits)
        assert (view.status, view.spec["training"]["epochs"], view.progress["epochs"]) == ("queued", 25, 25)
        assert view.progress["steps"] == job.progress["steps"] // 20 * 25
        assert (view.result, view.error, view.finished_at) == (None, None, None)
        claim = house.take()
        assert claim.resume is not None
        assert claim.resume.checkpoint_id == job.last_checkpoint
        assert claim.spec["training"]["epochs"] == 25
        house.record(claim, row(2), house.checkpoint(2), FINISHED)
        assert [t.status for t in house.job(job.id).transitions] == [
            "queued", "running", "succeeded", "queued", "running", "succeeded"
        ]  # fmt: skip

    def test_only_what_is_over(self, house: House) -> None:
        with pytest.raises(Conflict):
            house.do(jobs.continue_, house.submit().id, 1, house.limits)

    @pytest.mark.parametrize("epochs", [0, -1, 10**9])
    def test_a_sensible_number_of_epochs(self, house: House, epochs: int) -> None:
        with pytest.raises(Invalid):
            house.do(jobs.continue_, finished(house).id, epochs, house.limits)

    def test_limits_hold_for_the_whole(self, house: House) -> None:
        tight = house.limits.model_copy(update={"epochs": 22})
        with pytest.raises(Invalid):
            house.do(jobs.continue_, finished(house).id, 5, tight)
        assert house.job(finished(house).id).status == Status.SUCCEEDED


class TestClone:
    def test_a_patch_of_what_was_submitted(self, house: House) -> None:
        job = house.submit(optimizer={"type": "sgd", "lr": 0.1}, tags={"a": "1"})
        patch = {"data": {"dataset": "wine"}, "optimizer": {"lr": 0.2}, "tags": None, "name": "other"}
        view = house.do(jobs.clone, job.id, patch, house.limits)
        assert (view.parent, view.name, view.tags, view.dataset) == (job.id, "other", {}, "wine")
        assert (view.spec["optimizer"]["type"], view.spec["optimizer"]["lr"]) == ("sgd", 0.2)
        assert house.job(job.id).spec == job.spec
        with reading(house.sessions) as session:
            assert session.get_one(JobSpecs, view.id).submitted["optimizer"] == {"type": "sgd", "lr": 0.2}

    def test_after_continue_it_has_all_epochs(self, house: House) -> None:
        job = finished(house)
        house.do(jobs.continue_, job.id, 5, house.limits)
        assert house.do(jobs.clone, job.id, {}, house.limits).spec["training"]["epochs"] == 25

    def test_faults_are_those_of_the_patched_spec(self, house: House) -> None:
        job = house.submit(optimizer={"type": "adam"})
        with pytest.raises(Invalid) as caught:
            house.do(jobs.clone, job.id, {"optimizer": {"lr": -3}}, house.limits)
        assert [error.pointer for error in caught.value.errors] == ["/optimizer/lr"]
        with pytest.raises(Invalid):
            house.do(jobs.clone, house.submit().id, ["lr"], house.limits)


class TestDelete:
    def test_only_what_is_over(self, house: House) -> None:
        job = house.submit()
        with pytest.raises(Conflict), transaction(house.sessions) as session:
            jobs.delete(session, house.store, LOCAL, job.id)

    def test_then_it_is_gone(self, house: House) -> None:
        job = finished(house)
        with transaction(house.sessions) as session:
            jobs.delete(session, house.store, LOCAL, job.id)
        with pytest.raises(NotFound):
            house.job(job.id)

    def test_its_rows_and_events_go_with_it_and_no_others(self, house: House) -> None:
        job, other = finished(house), finished(house)
        with reading(house.sessions) as session:
            assert set(session.scalars(select(Metric.job_id))) == {job.id, other.id}
        with transaction(house.sessions) as session:
            jobs.delete(session, house.store, LOCAL, job.id)
        with reading(house.sessions) as session:
            assert set(session.scalars(select(Metric.job_id))) == {other.id}
            assert set(session.scalars(select(JobEvent.job_id))) == {other.id}


def test_heads_tell_what_is_new(house: House) -> None:
    job = house.submit()
    with reading(house.sessions) as session:
        before = watch.heads(session, [job.id, "job_none"])
    assert list(before) == [job.id]
    house.record(house.take(), row(1), row(2), FINISHED)
    with reading(house.sessions) as session:
        after = watch.heads(session, [job.id])[job.id]
        assert watch.heads(session, []) == {}
    assert after.version > before[job.id].version
    assert (after.terminal, after.last_metric) == (True, 2)
    assert after.last_event > before[job.id].last_event


@pytest.mark.parametrize(
    ("target", "patch", "expected"),
    [  # RFC 7396, appendix A
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch(target: object, patch: object, expected: object) -> None:
    before = repr(target)
    assert merge_patch(target, patch) == expected
    assert repr(target) == before
