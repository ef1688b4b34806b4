"""Brings the series of a study together for rules whose runs take several: looks, has it decided, writes and tells it.

Knows the store and the log. What is decided says ``deciding``, from what the series' own states hold, so that a crash loses nothing.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence

from voxloom.serve.node.audit import AuditLog
from voxloom.serve.node.deciding import Found, Moment, decided
from voxloom.serve.node.held import Series, Study, several_patients
from voxloom.serve.node.predicting import Predicts
from voxloom.serve.node.settings import Rule
from voxloom.serve.node.state import Part, StudyState, Task
from voxloom.serve.node.store import Store

#: How the log calls what a task of a study became.
_EVENTS = {"waiting": "study waits", "ready": "study ready", "dead": "dead letter", "superseded": "superseded"}


class Gatherer:
    """Looks at the studies of a store.

    Parameters
    ----------
    rules : all of the node's; those without channels are none of its business.
    """

    def __init__(self, store: Store, rules: Sequence[Rule], engine: Predicts, audit: AuditLog) -> None:
        self._store, self._audit = store, audit
        self._rules = [(rule, engine.needs(rule.run)) for rule in rules if rule.channels]
        self._started = time.time()

    def look(self) -> bool:
        """Move all studies on; whether one became ready."""
        by_study: dict[str, list[Series]] = defaultdict(list)
        if self._rules:
            for series in self._store.all():
                by_study[series.study].append(series)
        keys = {one.key for one in self._store.studies()}
        keys |= {study for study, found in by_study.items() if study and any(self._parts_of(one) for one in found)}
        ready = [key for key in keys if self._move(key, by_study.get(key, []))]
        return bool(ready)

    def _move(self, key: str, series: Sequence[Series]) -> bool:
        study, found = self._store.study(key), self._found(series)
        moment = Moment(time.time(), self._started, any(one.is_receiving for one in series))
        seen: list[StudyState] = []

        def moved(state: StudyState) -> StudyState:
            seen.append(state)
            return decided(state, self._rules, found, moment, self._alike)

        now = study.state
        if moved(now) is now:
            return False  # nothing is written where nothing changes
        after = study.change(moved)
        changed = [task for task in after.tasks if task not in seen[-1].tasks]
        for task in changed:
            if task.predicting != "waiting" or task.error:
                self._tell(study, task)
        return any(task.predicting == "ready" for task in changed)

    def _tell(self, study: Study, task: Task) -> None:
        series = ", ".join(f"{part.channel}={part.series}" for part in task.parts) or None
        why = task.error or task.note or None
        self._audit.tell(_EVENTS[task.predicting], **study.named, task=task.name, channels=series, why=why)

    def _found(self, series: Sequence[Series]) -> Found:
        found: dict[str, list[Part]] = defaultdict(list)
        for one in series:
            for rule, part in self._parts_of(one):
                found[rule].append(part)
        return {rule: tuple(sorted(parts)) for rule, parts in found.items()}

    def _parts_of(self, series: Series) -> list[tuple[str, Part]]:
        """What a closed series may be for the rules as they now are."""
        own = {(fit.rule, fit.channel) for fit in series.state.fits}
        return [
            (rule.name, Part(number, channel, series.key, series.content))
            for rule, needs in self._rules
            for number, channel in enumerate(needs.channels)
            if (rule.name, channel) in own
        ]

    def _alike(self, parts: Sequence[Part]) -> bool:
        found = [self._store.get(part.series) for part in parts]
        return not several_patients([one for one in found if isinstance(one, Series)])
