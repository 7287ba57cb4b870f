from __future__ import annotations

from dataclasses import replace

import pytest

from scorewatch.model import decisions as d
from scorewatch.model import events as e
from scorewatch.model.batches import BatchState as S
from scorewatch.model.outcomes import FailureKind
from scorewatch.model.policy import BatchLimits, CrewLimits, Policy, RetryLimits
from scorewatch.model.records import BatchMoved
from scorewatch.testing.makers import Talk, failure, only

CREW = CrewLimits(slots=2, init_timeout_s=10.0, handover_timeout_s=8.0, first_pause_s=1.0, longest_pause_s=3.0)
POLICY = Policy(
    crew=CREW, batch=BatchLimits(max_files=1), retry=RetryLimits(max_retries=1, run_timeout_s=5.0), claims_ahead=8
)


def talk(slots: int = 1, ready: int = 1) -> Talk:
    return Talk(replace(POLICY, crew=replace(CREW, slots=slots)), workers=ready)


def moved(decision: d.Decision) -> list[tuple[S, int]]:
    return [(record.now, record.attempt) for record in only(decision, BatchMoved)]


def order(conversation: Talk, name: str = "a") -> d.RunBatch:
    (run,) = only(conversation.claimed(name), d.RunBatch)
    return run


def test_every_slot_gets_a_worker_at_once() -> None:
    conversation = Talk(POLICY, workers=0)
    started = only(conversation.tick(), d.StartWorker)
    assert [(each.worker_id, each.slot) for each in started] == [(1, 0), (2, 1)]
    assert conversation.tick() == d.NOTHING


def test_an_init_that_takes_too_long_is_killed_once_and_its_slot_waits_ever_longer() -> None:
    conversation = Talk(replace(POLICY, crew=replace(CREW, slots=1)), workers=0)
    conversation.tick()
    conversation.ready(1)
    conversation.died(1)  # with nothing to do: replaced after a pause
    for serial, pause in ((2, 1.0), (3, 2.0), (4, 3.0), (5, 3.0)):
        assert not only(conversation.tick(pause - 0.01), d.StartWorker)
        (start,) = only(conversation.tick(0.02), d.StartWorker)
        assert start.worker_id == serial
        assert not only(conversation.tick(9.9), d.KillWorker)
        (kill,) = only(conversation.tick(0.2), d.KillWorker)
        assert kill.because == "init() took longer than 10 s"
        assert not only(conversation.tick(), d.KillWorker)
        conversation.died(serial, -9)


def test_a_service_whose_every_first_init_fails_ends() -> None:
    conversation = Talk(POLICY, workers=0)
    conversation.tick()
    for worker_id in (1, 2):
        conversation.say(e.WorkerInitFailed(worker_id=worker_id, failure=failure(FailureKind.SCRIPT_RAISED)))
        last = conversation.died(worker_id, 1)
    (leave,) = only(last, d.Exit)
    assert leave.code == 3


@pytest.mark.parametrize(
    ("started", "ran", "wait", "because"),
    [
        (False, False, 8.0, "did not begin its batch"),
        (True, False, 5.0, "run() took longer"),
        (True, True, 8.0, "writing the output took longer"),
    ],
)
def test_each_way_of_an_order_has_its_deadline(started: bool, ran: bool, wait: float, because: str) -> None:
    conversation = talk()
    run = order(conversation)
    if started:
        conversation.started(run)
    if ran:
        conversation.ran(run)
    now = conversation.clock.now()
    assert conversation.scheduler.next_deadline(now) == now.mono + wait
    assert not only(conversation.tick(wait - 0.01), d.KillWorker)
    (kill,) = only(conversation.tick(0.02), d.KillWorker)
    assert because in kill.because


def test_only_the_batch_that_ran_pays_for_a_death() -> None:
    conversation = talk()
    first, second = order(conversation, "a"), order(conversation, "b")
    conversation.started(first)
    assert moved(conversation.died(1)) == [(S.SEALED, 1), (S.SEALED, 0)]
    assert conversation.house.floor.lives[second.batch.batch_id].batch.attempt == 0


def test_a_batch_that_is_written_pays_where_none_ran() -> None:
    conversation = talk()
    run = order(conversation)
    conversation.started(run)
    conversation.ran(run)
    assert moved(conversation.died(1)) == [(S.SEALED, 1)]


def test_a_death_that_a_batch_is_blamed_for_is_replaced_at_once() -> None:
    conversation = talk()
    conversation.started(order(conversation))
    assert only(conversation.died(1), d.StartWorker)


def test_a_kill_for_the_handover_blames_no_file() -> None:
    conversation = talk()
    run = order(conversation)
    conversation.started(run)
    conversation.ran(run)
    conversation.tick(9.0)
    assert moved(conversation.died(1, -9)) == [(S.SEALED, 0)]
    assert conversation.house.breaker.is_open


def test_a_batch_whose_output_lies_in_staging_outlives_its_worker() -> None:
    conversation = talk()
    run = order(conversation)
    conversation.started(run)
    conversation.ran(run)
    (publish,) = only(conversation.scored(run), d.Publish)
    assert moved(conversation.died(1)) == []
    published = conversation.say(e.BatchPublished(batch_id=run.batch.batch_id, dispatch=publish.batch.dispatch))
    assert moved(published) == [(S.COMMITTED, 1)]


def test_what_a_dead_worker_says_late_counts_for_nothing() -> None:
    conversation = talk()
    run = order(conversation)
    conversation.started(run)
    conversation.died(1)
    for say in (conversation.scored, conversation.failed, conversation.ran, conversation.started):
        assert moved(say(run)) == []
    returned = e.OrderReturned(worker_id=1, batch_id=run.batch.batch_id, dispatch=run.batch.dispatch)
    assert moved(conversation.say(returned)) == []
    assert conversation.died(1) == d.NOTHING


def test_an_order_that_came_back_costs_nothing_and_is_handed_out_under_a_new_number() -> None:
    conversation = talk()
    run = order(conversation)
    returned = conversation.say(e.OrderReturned(worker_id=1, batch_id=run.batch.batch_id, dispatch=run.batch.dispatch))
    assert moved(returned) == [(S.SEALED, 0), (S.RUNNING, 1)]
    (again,) = only(returned, d.RunBatch)
    assert again.batch.dispatch == 2


def test_a_reload_replaces_workers_one_by_one_the_new_one_ready_first() -> None:
    conversation = talk(slots=2, ready=2)
    changed = replace(POLICY, generation=2)
    (start,) = only(conversation.say(e.PolicyChanged(changed)), d.StartWorker)
    assert (start.slot, start.generation) == (0, 2)
    assert conversation.tick(1.0) == d.NOTHING
    ready = conversation.ready(start.worker_id)
    assert [stop.worker_id for stop in only(ready, d.StopWorker)] == [1]
    (second,) = only(ready, d.StartWorker)
    assert second.slot == 1
    assert [stop.worker_id for stop in only(conversation.ready(second.worker_id), d.StopWorker)] == [2]


def test_fewer_slots_let_workers_go_and_more_start_them() -> None:
    conversation = talk(slots=2, ready=2)
    fewer = conversation.say(e.PolicyChanged(replace(POLICY, crew=replace(CREW, slots=1))))
    assert [stop.worker_id for stop in only(fewer, d.StopWorker)] == [2]
    conversation.died(2, 0)
    more = conversation.say(e.PolicyChanged(replace(POLICY, crew=replace(CREW, slots=3))))
    assert [start.slot for start in only(more, d.StartWorker)] == [1, 2]


def test_a_reload_while_it_stops_starts_nobody() -> None:
    conversation = talk()
    conversation.started(order(conversation))
    conversation.say(e.StopRequested())
    changed = conversation.say(e.PolicyChanged(replace(POLICY, generation=2, crew=replace(CREW, slots=4))))
    assert not only(changed, d.StartWorker)


def test_a_question_of_a_dead_worker_about_the_schema_does_no_harm() -> None:
    conversation = talk()
    asked = e.SchemaAsked(worker_id=77, batch_id="gone", dispatch=1, columns=(("x", "int64"),))
    (answer,) = only(conversation.say(asked), d.AnswerSchema)
    assert answer.columns == (("x", "int64"),)
    other = conversation.say(replace(asked, worker_id=1, columns=(("x", "double"), ("y", "string"))))
    assert only(other, d.AnswerSchema)[0].columns == (("x", "int64"), ("y", "string"))
