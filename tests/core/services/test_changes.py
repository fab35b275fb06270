"""Changes of a job that lives: asked for, passed on, made, told, missed; on both databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from core.changes import Change
from core.db.session import reading
from core.errors import Conflict, Forbidden, Invalid, NotFound
from core.events import Changed, Failed, Stopped
from core.services import changes, jobs, protocol
from core.services.job_view import JobView
from core.services.principal import LOCAL, Principal
from core.services.protocol import Claim
from tests.support.training import FINISHED, House, progress, row, started

STOPPING = {"monitor": "validation.loss", "patience": 3, "min_delta": 0.0, "mode": "auto"}
LR = {"optimizer": {"lr": 0.01}}


def change(house: House, job_id: str, patch: object, principal: Principal = LOCAL) -> JobView:
    return house.do(changes.change, job_id, patch, house.limits, principal=principal)


def waiting(house: House, claim: Claim, after: int = 0) -> tuple[Change, ...]:
    with reading(house.sessions) as session:
        return protocol.changes(session, claim, after)


def statuses(view: JobView) -> list[tuple[int, str, int | None]]:
    return [(each.number, each.status, each.step) for each in view.changes]


def pointers(house: House, job_id: str, patch: object) -> dict[str, str]:
    with pytest.raises(Invalid) as told:
        change(house, job_id, patch)
    assert all(" do " in error.detail for error in told.value.errors if error.pointer)
    return {error.pointer: error.code for error in told.value.errors}


class TestAsking:
    def test_a_change_waits_and_is_told(self, house: House) -> None:
        job = house.submit()
        before = house.row(job.id).version
        view = change(house, job.id, {"optimizer": {"lr": 0.01}, "training": {"epochs": 40}})
        assert statuses(view) == [(1, "pending", None)]
        assert view.changes[0].patch == {"optimizer": {"lr": 0.01}, "training": {"epochs": 40}}
        # the spec is what is in force
        assert view.spec["optimizer"]["lr"] == 0.001
        assert view.version > before
        told = {"number": 1, "patch": view.changes[0].patch, "status": "pending", "step": None, "epoch": None}
        assert house.told(job.id, "change") == [told]

    def test_a_patch_goes_on_from_what_was_asked_for_before(self, house: House) -> None:
        job = house.submit()
        change(house, job.id, {"training": {"early_stopping": {"patience": 7}}})
        change(house, job.id, {"training": {"early_stopping": {"min_delta": 0.1}}})
        change(house, job.id, {"training": {"early_stopping": None}})
        asked = [each.fields["early_stopping"] for each in house.take().changes]
        assert asked == [
            {**STOPPING, "patience": 7},
            {**STOPPING, "patience": 7, "min_delta": 0.1},
            None,
        ]

    def test_what_cannot_change_is_told_all_at_once(self, house: House) -> None:
        job = house.submit()
        patch = {"training": {"batch_size": 8, "epochs": 3}, "network": {"layers": []}, "name": "x", "optimizer": {}}
        assert pointers(house, job.id, patch) == {
            "/training/batch_size": "not_live",
            "/network/layers": "not_live",
            "/name": "not_live",
            "/optimizer": "not_live",
        }
        assert pointers(house, job.id, {}) == {"": "nothing_to_change"}
        assert pointers(house, job.id, [1]) == {"": "not_an_object"}

    def test_values_are_checked_as_in_a_spec(self, house: House) -> None:
        job = house.submit()
        patch: dict[str, Any] = {
            "optimizer": {"lr": -1},
            "training": {"epochs": "ten", "early_stopping": {"patience": 0, "monitor": "validation.f2"}},
        }
        found = pointers(house, job.id, patch)
        assert found["/optimizer/lr"] == "out_of_range"
        assert found["/training/epochs"] == "wrong_type"
        assert found["/training/early_stopping/patience"] == "out_of_range"
        assert pointers(house, job.id, {"training": {"epochs": 10**9}}).keys() == {"/training/epochs"}
        watched = {"training": {"early_stopping": {"monitor": "validation.auc"}}}
        assert pointers(house, job.id, watched) == {"/training/early_stopping/monitor": "not_reported"}
        assert house.job(job.id).changes == []

    def test_a_rate_far_too_high_is_warned_of_once(self, house: House) -> None:
        job = house.submit()
        for _ in range(2):
            view = change(house, job.id, {"optimizer": {"lr": 5.0}})
        assert [warning.code for warning in view.warnings].count("lr_too_high") == 1

    def test_null_is_the_default(self, house: House) -> None:
        job = house.submit(optimizer={"type": "adam", "lr": 0.5})
        change(house, job.id, {"optimizer": {"lr": None}})
        assert house.take().changes == (Change(1, {"lr": 0.001}),)

    def test_only_a_job_that_is_not_over_changes(self, house: House) -> None:
        job = house.submit()
        house.do(jobs.cancel, job.id)
        with pytest.raises(Conflict) as told:
            change(house, job.id, LR)
        assert told.value.code == "job_finished"
        assert "/continue" in (told.value.hint or "")
        running = house.submit()
        house.take()
        house.do(jobs.cancel, running.id)
        with pytest.raises(Conflict, match="being cancelled"):
            change(house, running.id, LR)

    def test_folds_stay_alike(self, house: House) -> None:
        job = house.submit(data={"dataset": "iris", "split": {"folds": 3}})
        with pytest.raises(Conflict) as told:
            change(house, job.id, LR)
        assert told.value.code == "job_in_folds"

    def test_it_is_nobody_elses(self, house: House, stranger: Principal) -> None:
        job = house.submit()
        with pytest.raises(NotFound):
            change(house, job.id, LR, stranger)
        with pytest.raises(Forbidden):
            change(house, job.id, LR, Principal("default", frozenset({"read"})))


class TestMaking:
    def test_a_claim_brings_what_waits_and_a_control_what_comes_later(self, house: House) -> None:
        job = house.submit()
        change(house, job.id, LR)
        claim = house.take()
        assert claim.changes == (Change(1, {"lr": 0.01}),)
        assert claim.change_seq == 1
        change(house, job.id, {"training": {"epochs": 50}})
        with reading(house.sessions) as session:
            assert protocol.controls(session, [claim])[job.id].change_seq == 2
        assert waiting(house, claim, after=1) == (Change(2, {"epochs": 50}),)

    def test_where_it_was_made_is_written_down_with_the_spec_that_is_in_force(self, house: House) -> None:
        job = house.submit()
        claim = house.take()
        change(house, job.id, {"optimizer": {"lr": 0.01}, "training": {"epochs": 1}})
        house.record(claim, started(), progress(4), row(4), Changed(1, 9, 2, {"lr": 0.01, "epochs": 3}))
        view = house.job(job.id)
        assert statuses(view) == [(1, "applied", 9)]
        assert view.changes[0].epoch == 2
        # epochs that are over cannot be taken back
        assert (view.spec["optimizer"]["lr"], view.spec["training"]["epochs"]) == (0.01, 3)
        assert view.progress["epochs"] == 3
        assert [event["status"] for event in house.told(job.id, "change")] == ["pending", "applied"]
        assert waiting(house, claim) == ()

    def test_the_next_attempt_begins_as_the_first_and_makes_it_at_the_same_step(self, house: House) -> None:
        job = house.submit()
        claim = house.take()
        change(house, job.id, LR)
        change(house, job.id, {"optimizer": {"lr": 0.02}, "training": {"epochs": 30}})
        change(house, job.id, {"training": {"early_stopping": {}}})
        made = (Changed(1, 3, 0, {"lr": 0.01}), Changed(2, 7, 1, {"lr": 0.02, "epochs": 30}))
        house.record(claim, started(), *made)
        house.crash(claim)
        again = house.take()
        assert again.changes == (
            Change(1, {"lr": 0.01}, 3),
            Change(2, {"lr": 0.02, "epochs": 30}, 7),
            Change(3, {"early_stopping": {**STOPPING, "patience": 10}}),
        )
        assert again.spec == claim.spec
        assert house.job(job.id).spec["training"]["epochs"] == 30
        # made again at the same step: nothing new to tell
        house.record(again, *made)
        assert len(house.told(job.id, "change")) == 5
        assert statuses(house.job(job.id))[:2] == [(1, "applied", 3), (2, "applied", 7)]

    def test_one_that_was_not_told_before_a_crash_waits_still(self, house: House) -> None:
        job = house.submit()
        claim = house.take()
        change(house, job.id, LR)
        house.crash(claim)
        assert house.take().changes == (Change(1, {"lr": 0.01}),)

    def test_a_pause_keeps_it(self, house: House) -> None:
        job = house.submit()
        claim = house.take()
        house.do(jobs.pause, job.id)
        change(house, job.id, LR)
        house.record(claim, house.checkpoint(1), Stopped("pause", 1, 1))
        change(house, job.id, {"training": {"epochs": 33}})
        house.do(jobs.resume, job.id)
        assert [each.number for each in house.take().changes] == [1, 2]

    @pytest.mark.parametrize("end", [FINISHED, Failed("diverged", "it is not finite")], ids=["finished", "failed"])
    def test_one_that_came_too_late_is_missed(self, house: House, end: Any) -> None:
        job = house.submit()
        claim = house.take()
        change(house, job.id, LR)
        house.record(claim, started(), end)
        view = house.job(job.id)
        assert statuses(view) == [(1, "missed", None)]
        assert view.spec["optimizer"]["lr"] == 0.001
        told = house.told(job.id, "change")
        assert [event["status"] for event in told] == ["pending", "missed"]
        house.do(jobs.continue_, job.id, 5, house.limits)
        assert house.take().changes == ()

    def test_a_cancelled_job_missed_what_waited(self, house: House) -> None:
        job = house.submit()
        change(house, job.id, LR)
        house.do(jobs.cancel, job.id)
        assert statuses(house.job(job.id)) == [(1, "missed", None)]


class TestAfterwards:
    def test_continue_goes_on_with_what_was_changed(self, house: House) -> None:
        job = house.submit(training={"epochs": 20})
        claim = house.take()
        change(house, job.id, {"optimizer": {"lr": 0.01}, "training": {"epochs": 6}})
        house.record(claim, started(), Changed(1, 9, 2, {"lr": 0.01, "epochs": 6}), house.checkpoint(12), FINISHED)
        view = house.do(jobs.continue_, job.id, 4, house.limits)
        assert view.spec["training"]["epochs"] == 10
        again = house.take()
        # made at its step if the run has to go back so far; how long it is, the one who continued says
        assert again.changes == (Change(1, {"lr": 0.01}, 9),)
        assert again.spec["training"]["epochs"] == 10
        assert again.spec["optimizer"]["lr"] == 0.001
        change(house, job.id, {"training": {"epochs": 30}})
        house.record(again, Changed(2, 13, 3, {"epochs": 30}))
        assert house.job(job.id).spec["training"]["epochs"] == 30

    def test_a_clone_has_what_was_changed(self, house: House) -> None:
        job = house.submit()
        claim = house.take()
        change(house, job.id, {"optimizer": {"lr": 0.01}, "training": {"early_stopping": {"patience": 2}}})
        house.record(claim, Changed(1, 9, 2, {"lr": 0.01, "early_stopping": {**STOPPING, "patience": 2}}))
        change(house, job.id, {"training": {"epochs": 99}})
        copy = house.do(jobs.clone, job.id, {}, house.limits)
        assert copy.spec["optimizer"]["lr"] == 0.01
        assert copy.spec["training"]["early_stopping"]["patience"] == 2
        # what waits is not in force
        assert copy.spec["training"]["epochs"] == 20
        assert copy.changes == []

    def test_a_job_in_folds_is_not_continued(self, house: House) -> None:
        job = house.submit(data={"dataset": "iris", "split": {"folds": 3}})
        house.record(house.take(), started(), FINISHED)
        with pytest.raises(Conflict) as told:
            house.do(jobs.continue_, job.id, 5, house.limits)
        assert told.value.code == "job_in_folds"


class TestAtOnce:
    def test_two_patches_come_one_after_the_other(self, house: House) -> None:
        job = house.submit()
        house.take()
        rates = [0.001 * n for n in range(1, 9)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda lr: change(house, job.id, {"optimizer": {"lr": lr}}), rates))
        view = house.job(job.id)
        assert [each.number for each in view.changes] == list(range(1, 9))
        assert sorted(each.patch["optimizer"]["lr"] for each in view.changes) == rates

    def test_a_patch_and_the_end_do_not_lose_each_other(self, house: House) -> None:
        for _ in range(5):
            job = house.submit()
            claim = house.take()

            def patch(job_id: str = job.id) -> None:
                with suppress(Conflict):
                    change(house, job_id, LR)

            with ThreadPoolExecutor(2) as pool:
                asked = pool.submit(patch)
                pool.submit(house.record, claim, started(), FINISHED).result()
                asked.result()
            view = house.job(job.id)
            assert view.status == "succeeded"
            assert {each.status for each in view.changes} <= {"missed"}
