"""Which series of a study become the channels of a run: decided when there is exactly one for each, else told for a person.

Works on states alone, without files and clocks. A task of a rule is *waiting* first. It becomes *ready* with a series for each
channel, or, after the wait, without some where the run learned to do without them; *dead*, with the reason, where no one can tell
which series is meant or a channel never came. Series that come after a result begin the rule once more. Nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from voxloom.serve.node.predicting import Needs
from voxloom.serve.node.settings import Rule
from voxloom.serve.node.state import Part, Send, StudyState, Task

#: By rule, the series that fit its channels, in the order of channels and keys.
Found = Mapping[str, tuple[Part, ...]]
#: Whether series name the same patient.
Alike = Callable[[Sequence[Part]], bool]


@dataclass(frozen=True)
class Moment:
    """When a study is looked at.

    Parameters
    ----------
    now : seconds since 1970.
    started : when the node was started; nobody could send before, so no wait ends sooner than after this.
    busy : images of the study still come, so nothing is decided yet.
    """

    now: float
    started: float
    busy: bool


def decided(
    state: StudyState,
    rules: Sequence[tuple[Rule, Needs]],
    found: Found,
    moment: Moment,
    alike: Alike,
) -> StudyState:
    """The state of a study with the series that are there now; the same value where nothing changes.

    Parameters
    ----------
    rules : those with channels, and what their runs take.
    alike : whether series are of one patient.
    """
    new = replace(state, found=dict(found))
    for rule, needs in rules:
        parts = found.get(rule.name, ())
        if parts != state.found.get(rule.name, ()):
            new = _looked_at_anew(new, rule, parts, moment.now)
        task = _open_task(new, rule.name)
        if task is not None and task.predicting == "waiting":
            new = new.with_task(_tried(task, rule, needs, parts, moment, alike))
    new = _without_rules(new, {rule.name for rule, _ in rules})
    return state if new == state else replace(new, changed=moment.now)


def _looked_at_anew(state: StudyState, rule: Rule, parts: tuple[Part, ...], now: float) -> StudyState:
    """The state with a waiting task where series came that no result has seen, and without one where there are none."""
    task, done = _open_task(state, rule.name), _result(state, rule.name)
    if task is not None and task.predicting == "ready" and task.parts == parts:
        return state
    fresh = any(part not in (done.parts if done else ()) for part in parts)
    if task is not None and (task.predicting == "ready" or not fresh):
        state, task = state.with_task(replace(task, predicting="superseded", error="")), None
    if not fresh:
        return state
    due = now + rule.wait
    if task is not None:
        return state.with_task(replace(task, predicting="waiting", due=due))
    version = 1 + max([one.version for one in state.tasks if one.rule == rule.name], default=0)
    sends = {to: Send() for to in rule.to}
    begun = Task(rule.name, rule.run, rule.formats, version, sends, predicting="waiting", due=due)
    return replace(state, tasks=(*state.tasks, begun))


def _open_task(state: StudyState, rule: str) -> Task | None:
    """The last task of a rule, unless it has its result, or has failed to get it."""
    own = [task for task in state.tasks if task.rule == rule and task.predicting != "superseded"]
    if not own or own[-1].predicting == "done" or (own[-1].predicting == "dead" and own[-1].parts):
        return None
    return own[-1]


def _result(state: StudyState, rule: str) -> Task | None:
    """The last task of a rule of which it was decided what it is made from, and which was made or could not be."""
    own = [task for task in state.tasks if task.rule == rule and task.parts and task.predicting in ("done", "dead")]
    return own[-1] if own else None


def _tried(task: Task, rule: Rule, needs: Needs, parts: tuple[Part, ...], moment: Moment, alike: Alike) -> Task:
    """A waiting task as it is with these series: ready, dead, or waiting still."""
    due = task.due or moment.now + rule.wait
    lacking = [channel for channel in needs.channels if all(part.channel != channel for part in parts)]
    waits = replace(task, due=due, error=f"waits for {_named(lacking)}" if lacking else "")
    if moment.busy:
        return waits
    why = _several(parts)
    if not why and lacking:
        if moment.now < max(due, moment.started + rule.wait):
            return waits
        if not needs.may_lack:
            why = f"no series came for {_named(lacking)} within the wait"
    if not why and not alike(parts):
        why = "its series name several patients. Forget those that are not meant"
    if why:
        return replace(task, predicting="dead", due=due, error=why)
    return _ready(task, rule, parts, f"without {_named(lacking)}" if lacking else "")


def _ready(task: Task, rule: Rule, parts: tuple[Part, ...], note: str) -> Task:
    """The task as the settings now say it, to be predicted from these series."""
    now = replace(task, run=rule.run, formats=rule.formats, sends={to: Send() for to in rule.to})
    return replace(now, predicting="ready", due=0.0, error="", note=note, parts=parts)


def _several(parts: Sequence[Part]) -> str:
    """Why it is not clear which series are meant; "" where it is."""
    by_channel: dict[str, list[str]] = {}
    for part in parts:
        by_channel.setdefault(part.channel, []).append(part.series)
    for channel, series in by_channel.items():
        if len(series) > 1:
            return f"{len(series)} series fit channel {channel}: {', '.join(series)}. Forget those that are not meant"
    for part in parts:
        fits = [other.channel for other in parts if other.series == part.series]
        if len(fits) > 1:
            return f"the series {part.series} fits the channels {' and '.join(fits)}. Make the conditions narrower"
    return ""


def _without_rules(state: StudyState, names: set[str]) -> StudyState:
    """The state with dead letters in the place of tasks that wait for rules which there are no more."""
    for task in state.tasks:
        if task.predicting == "waiting" and task.rule not in names:
            why = f"the settings name no rule {task.rule} with channels any more"
            state = state.with_task(replace(task, predicting="dead", error=why))
    return state


def _named(channels: Sequence[str]) -> str:
    return f"channel{'s' if len(channels) > 1 else ''} {' and '.join(channels)}"
