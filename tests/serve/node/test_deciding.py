"""What is decided of a study's series, without a node: every turn that a task of several channels can take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from voxloom.serve.node.deciding import Moment, decided
from voxloom.serve.node.predicting import Needs
from voxloom.serve.node.settings import Rule
from voxloom.serve.node.state import Part, StudyState, Task

RULE = Rule(name="r", run="net", to=("pacs",), channels={"A": {}, "B": {}}, wait=100)
A, A2, B = Part(0, "A", "one", "x"), Part(0, "A", "two", "x"), Part(1, "B", "three", "x")


def after(
    state: StudyState,
    *parts: Part,
    now: float = 1000.0,
    started: float = 0.0,
    busy: bool = False,
    may_lack: bool = False,
    rules: Sequence[Rule] = (RULE,),
    one_patient: bool = True,
) -> StudyState:
    """The state when these series are there."""
    needs = Needs(("A", "B"), may_lack)
    found = {"r": tuple(sorted(parts))} if parts else {}
    return decided(
        state, [(rule, needs) for rule in rules], found, Moment(now, started, busy), lambda parts: one_patient
    )


def made(state: StudyState, **changes: Any) -> StudyState:
    """The state when the last task is predicted."""
    return state.with_task(Task(**{**vars(state.tasks[-1]), "predicting": "done", **changes}))


def told(state: StudyState) -> list[tuple[int, str, str]]:
    return [(task.version, task.predicting, task.error) for task in state.tasks]


def test_nothing_is_written_where_nothing_changes() -> None:
    waiting = after(StudyState(), A)
    assert told(waiting) == [(1, "waiting", "waits for channel B")]
    assert after(waiting, A, now=1099) is waiting
    ready = after(waiting, A, B)
    assert [(task.predicting, task.parts) for task in ready.tasks] == [("ready", (A, B))]
    assert after(ready, A, B, now=5000) is ready
    assert after(made(ready), A, B, now=5000) == made(ready)


def test_nothing_is_decided_while_images_of_the_study_come() -> None:
    waiting = after(StudyState(), A, B, busy=True)
    assert told(waiting) == [(1, "waiting", "")]
    assert told(after(waiting, A, A2, B)) == [
        (1, "dead", "2 series fit channel A: one, two. Forget those that are not meant")
    ]


def test_a_wait_begins_anew_with_each_series_and_with_the_node() -> None:
    waiting = after(StudyState(), A, now=1000)
    assert after(waiting, A, now=1101, started=1050) is waiting
    changed = after(waiting, A2, now=1090)
    assert told(after(changed, A2, now=1150)) == told(waiting)
    assert told(after(changed, A2, now=1191)) == [(1, "dead", "no series came for channel B within the wait")]
    lacking = after(changed, A2, now=1191, may_lack=True)
    assert [(task.predicting, task.parts, task.note) for task in lacking.tasks] == [
        ("ready", (A2,), "without channel B")
    ]


def test_a_person_can_have_a_dead_one_looked_at_again() -> None:
    dead = after(after(StudyState(), A), A, now=2000)
    again = dead.again("v1-r")
    assert told(again) == [(1, "waiting", "")]
    assert told(after(again, A, now=3000)) == [(1, "waiting", "waits for channel B")]
    failed = made(after(StudyState(), A, B), predicting="dead", error="no memory", attempts=3)
    assert [(task.predicting, task.parts) for task in failed.again(None).tasks] == [("ready", (A, B))]


def test_series_that_vanish_before_the_prediction_take_it_back() -> None:
    ready = after(StudyState(), A, B)
    assert told(after(ready, A)) == [(1, "superseded", ""), (2, "waiting", "waits for channel B")]
    assert told(after(ready)) == [(1, "superseded", "")]
    assert told(after(made(ready), A)) == [(1, "done", "")], "what is made stays"


def test_after_a_result_only_what_is_new_begins_another() -> None:
    first = made(after(StudyState(), A, B))
    newer = Part(0, "A", "one", "y")
    second = after(first, newer, B)
    assert told(second) == [(1, "done", ""), (2, "ready", "")]
    doubled = after(first, A, A2, B)
    assert [task.predicting for task in doubled.tasks] == ["done", "dead"]
    assert [task.predicting for task in after(doubled, A, B).tasks] == ["done", "superseded"]
    assert [task.predicting for task in after(doubled, A2, B).tasks] == ["done", "ready"]


def test_one_series_is_never_two_channels_and_two_patients_never_one() -> None:
    both = after(StudyState(), A, Part(1, "B", "one", "x"))
    assert told(both) == [(1, "dead", "the series one fits the channels A and B. Make the conditions narrower")]
    strangers = after(StudyState(), A, B, one_patient=False)
    assert told(strangers) == [(1, "dead", "its series name several patients. Forget those that are not meant")]


def test_a_rule_that_is_gone_is_told_and_taken_up_when_it_is_back() -> None:
    waiting = after(StudyState(), A)
    gone = after(waiting, rules=())
    assert told(gone) == [(1, "dead", "the settings name no rule r with channels any more")]
    assert told(after(gone, A)) == [(1, "waiting", "waits for channel B")]
