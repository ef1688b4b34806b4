"""The node: closes series that are stable, hands them on, tidies up, and ends in order.

Knows when a series is ready and how long what is finished stays. Receiving, predicting and sending each have threads of their own; all
that is decided lies in the states on disk, and a start goes on where the last one ended, however it ended.
"""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any, get_args

from voxloom.errors import BadInput, VoxloomError
from voxloom.serve.node.audit import AuditLog
from voxloom.serve.node.gathering import Gatherer
from voxloom.serve.node.held import Held, Series, Study
from voxloom.serve.node.instance import without_private
from voxloom.serve.node.listener import Listener
from voxloom.serve.node.metrics import Metrics, serve_metrics
from voxloom.serve.node.predicting import Predictor, Predicts
from voxloom.serve.node.routing import matching
from voxloom.serve.node.sending import Sender, way_to
from voxloom.serve.node.settings import NodeSettings, ae_title
from voxloom.serve.node.state import Fit, Send, SeriesState, State, Task, TaskState
from voxloom.serve.node.store import Store
from voxloom.serve.node.tls import server_context
from voxloom.serve.node.wishes import taken

#: Seconds between two looks at which series is stable.
_LOOK = 0.1
#: Seconds between two looks at what may be removed and at what people wish.
_TIDY = 1.0
#: After a start, senders that a crash cut off get so many stable ages to come back before a series is closed.
_AFTER_START = 3.0


class Node:
    """A DICOM node.

    Parameters
    ----------
    settings : see ``load_settings``.
    engine : who predicts.
    aet : its AE title.
    host, port : where it listens; another host than loopback needs ``peers`` in the settings.
    source : the settings file, for messages and for lists that conditions name.

    Raises
    ------
    BadInput : another node uses the queue, everybody could send from the network, or a certificate cannot be used.
    """

    def __init__(
        self, settings: NodeSettings, engine: Predicts, *, aet: str, host: str, port: int, source: Path
    ) -> None:
        _check_open(settings, host, source)
        try:
            self._aet = ae_title(aet)
        except ValueError as error:
            raise BadInput(f"{aet!r} {error}", "--aet", "Give another one") from None
        self._settings, self._source, self._host = settings, source, host
        self._tls = server_context(settings.tls)
        ways = {name: way_to(name, to, aet) for name, to in settings.destinations.items()}
        self._store = Store(settings.queue)
        log = settings.audit
        self.audit = AuditLog(log.file or settings.queue / "audit" / "audit.jsonl", log.size, log.files)
        self.metrics = Metrics(self._gauges)
        self._senders = [
            Sender(name, way, self._store, settings.retry, self.audit, self.metrics) for name, way in ways.items()
        ]
        self._predictor = Predictor(engine, self._store, settings.predict, self.audit, self.metrics)
        self._predictor.done = self._wake_senders
        self._listener = Listener(settings, self._store, self.audit, self.metrics)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="node", daemon=True)
        self._gatherer = Gatherer(self._store, settings.rules, engine, self.audit)
        self._asked: dict[str, tuple[tuple[str, ...], list[Fit]]] = {}
        self._made = {key for one in self._store.held() for key in one.state.made}
        self._http: ThreadingHTTPServer | None = None
        self.port = port
        self.metrics_port: int | None = None

    def start(self) -> None:
        """Begin to take, predict and send. Raises BadInput where a port cannot be had."""
        later = time.monotonic() + (_AFTER_START - 1) * self._settings.stable
        for series in self._store.all():
            series.last = later
        try:
            self.port = self._listener.start(self._host, self.port, self._aet, self._tls)
            self._start_metrics()
        except BadInput:
            self._listener.stop()
            self._store.close()
            raise
        self.audit.tell("start", aet=self._aet, address=self._host, port=self.port)
        self._give_up_lost()
        self._thread.start()
        self._predictor.start()
        for sender in self._senders:
            sender.start()

    def close(self) -> None:
        """Answer who is being listened to, leave the rest to the next start, and end."""
        self._listener.stop()
        self._stopping.set()
        self._thread.join(timeout=10.0)
        self._predictor.stop()
        for sender in self._senders:
            sender.stop()
        if self._http is not None:
            self._http.shutdown()
            self._http.server_close()
        self.audit.tell("stop", aet=self._aet)
        self.audit.close()
        self._store.close()

    def _give_up_lost(self) -> None:
        """Make dead letters of results that wait for destinations which the settings do not name any more."""
        for one in self._store.held():
            for task in one.state.tasks:
                for name, send in task.sends.items():
                    if send.state == "waiting" and task.is_open and name not in self._settings.destinations:
                        self._give_up(one, task.name, name)

    def _give_up(self, one: Held[Any], task: str, destination: str) -> None:
        why = f"the settings name no destination {destination} any more"

        def lost(state: State) -> State:
            now = next(one for one in state.tasks if one.name == task)
            send = replace(now.sends[destination], state="dead", error=why)
            return replace(state.with_task(now.sent_to(destination, send)), changed=time.time())

        one.change(lost)
        self.audit.tell("dead letter", **one.named, task=task, to=destination, why=why)

    def _start_metrics(self) -> None:
        wanted = self._settings.metrics
        if wanted is None:
            return
        try:
            self._http = serve_metrics(wanted.host, wanted.port, self.metrics.text)
        except OSError as error:
            place = f"{wanted.host}:{wanted.port}"
            raise BadInput(f"cannot be listened on ({error.strerror or error})", place, "Choose another port") from None
        self.metrics_port = int(self._http.server_address[1])

    def _wake_senders(self) -> None:
        for sender in self._senders:
            sender.wake()

    def _run(self) -> None:
        tidied = 0.0
        while not self._stopping.wait(_LOOK):
            try:
                self._close_stable()
                if self._gatherer.look():
                    self._predictor.wake()
                if time.monotonic() - tidied > _TIDY:
                    tidied = time.monotonic()
                    self._grant()
                    self._tidy()
            except Exception as error:  # e.g. a full disk; tried again at the next look
                self.audit.tell("trouble", why=type(error).__name__)
                self._stopping.wait(_TIDY)

    def _close_stable(self) -> None:
        """Make a version of every series for which nothing came for a stable age; its rules are asked while that passes."""
        for series in self._store.all():
            if not series.is_receiving:
                self._asked.pop(series.key, None)
                continue
            quiet = time.monotonic() - series.last
            if quiet >= self._settings.stable / 2:
                self._ask(series)
            if quiet >= self._settings.stable:
                self._close_series(series)

    def _ask(self, series: Series) -> None:
        """Remember which rules a series meets with the instances that it has now."""
        with series.lock:
            members = tuple(sorted(series.instances))
        if self._asked.get(series.key, ((), []))[0] != members:
            self._asked[series.key] = members, self._rules_of(series, members)

    def _close_series(self, series: Series) -> None:
        members, fits = self._asked.pop(series.key)
        with series.lock:
            if len(series.instances) != len(members) or series.gone:
                return  # something came meanwhile: it is not stable yet
            study = series.study
            state = series.change(lambda state: replace(self._closed(state, members, fits), study=study))
        self.audit.tell(
            "series ready" if fits else "series matches no rule",
            series=series.key,
            version=state.version,
            instances=len(members),
            rules=", ".join(fit.rule for fit in fits if not fit.channel) or None,
            channels=", ".join(f"{fit.channel} of {fit.rule}" for fit in state.fits) or None,
            peer=state.sender or None,
        )
        if state.fits and not study:
            self.audit.tell("series belongs to no study", series=series.key)
        for task in state.tasks:
            if task.predicting == "superseded" and task.version == state.version - 1:
                self.audit.tell("superseded", series=series.key, task=task.name)
        self._predictor.wake()

    def _rules_of(self, series: Series, members: tuple[str, ...]) -> list[Fit]:
        """The rules that a series meets; what a run made is never shown to one again."""
        if series.key in self._made_now():
            return []
        try:
            files = [series.file_of(key) for key in members]
            return matching(files, self._settings.rules, self._source, self._store.scratch)
        except VoxloomError as error:
            why = without_private(str(error), series.private_values())
            self.audit.tell("series cannot be understood", series=series.key, why=why)
            return []

    def _made_now(self) -> set[str]:
        """Keys of the series that were made here; of what was removed since the start too."""
        self._made.update(key for one in self._store.held() for key in one.state.made)
        return self._made

    def _closed(self, state: SeriesState, members: tuple[str, ...], fits: list[Fit]) -> SeriesState:
        """The next version: a task for each rule; tasks of the last one that nobody has begun are not made any more."""
        version = state.version + 1
        rules = {rule.name: rule for rule in self._settings.rules}
        named = [rules[fit.rule] for fit in fits if not fit.channel]
        new = [Task(rule.name, rule.run, rule.formats, version, {to: Send() for to in rule.to}) for rule in named]
        old = [replace(task, predicting="superseded") if task.predicting == "ready" else task for task in state.tasks]
        channels = tuple(fit for fit in fits if fit.channel)
        return replace(state, version=version, members=members, tasks=(*old, *new), fits=channels, changed=time.time())

    def _grant(self) -> None:
        """Do what people wish."""
        for wish in taken(self._settings.queue):
            one = self._store.get(wish.key)
            if one is None:
                continue
            if wish.kind == "forget":
                self._store.drop(one)
            else:
                _begin_again(one, wish.task)
                self._predictor.wake()
                self._wake_senders()
            self.audit.tell(wish.kind, **one.named, task=wish.task)

    def _tidy(self) -> None:
        """Remove what was finished long enough ago; a study with its series."""
        bound: set[str] = set()
        for study in self._store.studies():
            series = study.series
            bound.update(one.key for one in series)
            if self._is_over(study) and all(self._is_over(one) for one in series):
                self._remove(study, sum(len(one.state.members) for one in series))
        for one in self._store.all():
            if one.key not in bound and self._is_over(one):
                self._remove(one, len(one.state.members))

    def _is_over(self, one: Series | Study) -> bool:
        """Whether it was finished long enough ago."""
        state, keep = one.state, self._settings.keep
        if state.is_open or state.is_waiting or not state.changed:
            return False
        if isinstance(one, Series) and one.is_receiving:
            return False
        seconds = keep.dead if state.is_dead else keep.sent if state.tasks else keep.unmatched
        return time.time() - state.changed > seconds

    def _remove(self, one: Series | Study, instances: int) -> None:
        self._store.drop(one)
        self.audit.tell("removed", **one.named, instances=instances)

    def _gauges(self) -> Iterator[tuple[str, Mapping[str, str], float]]:
        found, held, now = self._store.all(), self._store.held(), time.time()
        series = Counter("receiving" if one.is_receiving else "closed" for one in found)
        tasks = Counter(task.state for one in held for task in one.state.tasks)
        oldest = max([now - one.state.changed for one in held if one.state.is_open], default=0.0)
        yield from (("voxloom_node_series", {"state": name}, series[name]) for name in ("receiving", "closed"))
        for name in get_args(TaskState):
            yield "voxloom_node_tasks", {"state": name}, tasks[name]
        yield "voxloom_node_oldest_seconds", {}, oldest
        yield "voxloom_node_disk_free_bytes", {}, self._store.free_bytes()
        yield "voxloom_node_associations_open", {}, self._listener.open_associations


def _begin_again(one: Series | Study, task: str | None) -> None:
    """Begin dead tasks of a series or a study again."""

    def again(state: Any) -> Any:
        return replace(state.again(task), changed=time.time())

    one.change(again)


def _check_open(settings: NodeSettings, host: str, source: Path) -> None:
    try:
        inside = ipaddress.ip_address(host).is_loopback
    except ValueError:
        inside = host == "localhost"
    if not inside and not settings.peers:
        what = f"anybody who reaches {host} could send, since no peers are named"
        raise BadInput(what, source, "Name under peers: who may send, or listen on 127.0.0.1")
