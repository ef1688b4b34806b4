"""Predictions of the node by the engine of the service. Knows orders and jobs; imports no network."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from voxloom.errors import BadInput, VoxloomError
from voxloom.serve.node.node import Node
from voxloom.serve.node.predicting import Made, Needs, StoppedError, Wanted
from voxloom.serve.node.settings import Rule, load_settings

#: Seconds between two looks at whether the node is to stop.
_LOOK = 0.5


class Engine(Protocol):
    """What is needed of ``voxloom.serve.engine.Engine``."""

    @property
    def runs(self) -> Mapping[str, Any]: ...

    def submit(self, order: Any) -> Any: ...

    def wait(self, name: str, timeout: float | None = None) -> Any: ...

    def cancel(self, name: str) -> bool: ...


class ByEngine:
    """Predicts by an engine that others may use too."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def needs(self, run: str) -> Needs:
        """See ``predicting.Predicts``."""
        about = self._engine.runs[run]
        return Needs(tuple(about.channels), about.may_lack)

    def predict(self, wanted: Wanted, timeout: float, stopping: threading.Event) -> Made:
        """See ``predicting.Predicts``."""
        from voxloom.serve.orders import Order
        from voxloom.verbs.options import PredictOptions

        options = PredictOptions(formats=wanted.formats)
        job = self._engine.submit(Order(wanted.run, (wanted.scan,), wanted.out, options))
        until = time.monotonic() + timeout
        while not job.has_ended:
            if stopping.is_set():
                self._engine.cancel(job.id)
                raise StoppedError
            if time.monotonic() > until:
                self._engine.cancel(job.id)
                raise VoxloomError(f"the prediction took longer than {timeout:g} s")
            job = self._engine.wait(job.id, timeout=_LOOK)
        if job.state == "cancelled":
            raise StoppedError
        if job.state == "failed":
            raise VoxloomError(_told(job, wanted.scan))
        files = [Path(path) for path in job.result["dicom"]]
        return Made(files, sum(job.result["seconds"]), _note(job.result["told"].get("resampled", {})))


def _note(resampled: Mapping[str, Mapping[str, str]]) -> str:
    """What a person should know of a result: which channels lay on another grid."""
    return "; ".join(f"channel {name} {how}" for told in resampled.values() for name, how in told.items())


def _told(job: Any, scan: Path) -> str:
    """Why a job failed, with the part of the scan that is meant where it is not all of it."""
    where = (job.error or {}).get("where")
    return f"{where}: {job.message}" if where and scan in Path(where).parents else str(job.message)


def check_runs(rules: Sequence[Rule], runs: Mapping[str, Any], source: str | Path) -> None:
    """Refuse rules that name a run which is not served, or other channels than it has (BadInput)."""
    from voxloom.recipe.keys import nearest

    for rule in rules:
        if rule.run not in runs:
            hint = nearest(rule.run, list(runs), f"Served are: {', '.join(runs)}")
            raise BadInput(f"the rule {rule.name} names the run {rule.run}, which is not served", source, hint)
        channels = tuple(runs[rule.run].channels)
        if not rule.channels and len(channels) > 1:
            what = f"the run {rule.run} of the rule {rule.name} needs {len(channels)} series of one study"
            raise BadInput(what, source, f"Say under channels: which series each is of {', '.join(channels)}")
        for name in rule.channels:
            if name not in channels:
                hint = nearest(name, channels, f"It has: {', '.join(channels)}")
                raise BadInput(
                    f"the rule {rule.name} names a channel {name} that {rule.run} does not have", source, hint
                )
        if rule.channels and (unnamed := [name for name in channels if name not in rule.channels]):
            what = f"the rule {rule.name} does not say which series is channel {unnamed[0]} of {rule.run}"
            raise BadInput(what, source, "Write its conditions under channels:")


def open_node(engine: Engine, source: Path, *, aet: str, host: str, port: int) -> Node:
    """A node with the settings of a file, whose series the runs of an engine see; not yet started.

    Raises
    ------
    BadInput : from ``load_settings``, ``check_runs`` and ``Node``.
    """
    settings = load_settings(source)
    check_runs(settings.rules, engine.runs, source)
    return Node(settings, ByEngine(engine), aet=aet, host=host, port=port, source=source)
