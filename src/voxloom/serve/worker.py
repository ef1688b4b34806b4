"""The process that holds the networks: takes one order after the other and answers with plain values.

Started by ``voxloom.serve.engine`` alone. Keeps the networks of the last runs open. Ends when the service does, however that ended.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from voxloom.errors import BadInput, VoxloomError
from voxloom.files import plain
from voxloom.run.listener import Listener
from voxloom.runfiles import trained_folds
from voxloom.serve.orders import AnyOrder, ExplainOrder, Order, RankOrder, WarmOrder
from voxloom.trust.sampling import Sampling
from voxloom.verbs.options import PredictOptions

if TYPE_CHECKING:
    from voxloom.progress import Progress
    from voxloom.verbs.predict import Opened

Answer = tuple[str, Any]


def serve(connection: Connection, device: str, keep: int, debug: bool) -> None:
    """The loop: receive (folder of the run, order), tell how far it is, send back ("done", result) or ("failed", error)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if not debug:
        _say_nothing()
    shelf = Shelf(device, keep)
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            folder, order = connection.recv()
            connection.send(("taken", None))
            connection.send(attempt(shelf, folder, order, connection.send, debug))


def attempt(shelf: Shelf, folder: Path, order: AnyOrder, send: Callable[[Answer], None], debug: bool = False) -> Answer:
    """Carry an order out; whatever goes wrong is an answer too."""
    try:
        return "done", plain(carry_out(shelf, folder, order, listener_of(send)))
    except BadInput as error:
        where = None if error.where is None else str(error.where)
        return "failed", {"what": error.what, "where": where, "fix": error.fix}
    except MemoryError:
        return "failed", {"what": "it needs more memory than there is", "where": None, "fix": None}
    except VoxloomError as error:
        return "failed", {"what": str(error), "where": None, "fix": None}
    except Exception as error:
        if debug:
            sys.excepthook(type(error), error, error.__traceback__)
        return "failed", {"what": f"{type(error).__name__}: {error}", "where": None, "fix": None}


def carry_out(shelf: Shelf, folder: Path, order: AnyOrder, listener: Listener) -> dict[str, Any]:
    """The result of an order, as values for JSON; files are texts."""
    if isinstance(order, Order):
        return predicted(shelf, folder, order, listener)
    if isinstance(order, RankOrder):
        return ranked(shelf, folder, order, listener)
    if isinstance(order, ExplainOrder):
        return explained(shelf, folder, order, listener)
    assert isinstance(order, WarmOrder)
    shelf.opened(folder, PredictOptions(), listener)
    return {}


def predicted(shelf: Shelf, folder: Path, order: Order, listener: Listener) -> dict[str, Any]:
    """Predict, with networks that are open where they were used before."""
    from voxloom.verbs.predict import predict_with

    options = shelf.on_device(order.options)
    opened = shelf.opened(folder, options, listener)
    if order.unsure and options.uncertainty is None:
        options = replace(options, uncertainty=members_that_there_are(opened))
    found = predict_with(opened, list(order.inputs), order.out, options, listener)
    if not found.files and found.failed:
        raise next(iter(found.failed.values()))
    return {
        "files": {name: str(path) for name, path in found.files.items()},
        "dicom": [str(path) for path in getattr(found, "dicom", [])],
        "beside": [str(path) for path in found.beside],
        "failed": {name: str(error) for name, error in found.failed.items()},
        "filled": found.filled,
        "told": found.told,
        "quality": found.quality,
        "seconds": found.seconds,
    }


def members_that_there_are(opened: Opened) -> Sampling:
    """The folds of a run, or what else it has (BadInput for a task whose predictions have no members)."""
    from voxloom.tasks.abilities import need
    from voxloom.trust.uncertainty import default_sources
    from voxloom.trust.uncertainty_maps import members_of

    if opened.run is not None:
        need(opened.run, "predict --uncertainty")
    members = members_of(opened.predictor)
    return Sampling(default_sources(members[0]) if len(members) == 1 else ("folds",))


def ranked(shelf: Shelf, folder: Path, order: RankOrder, listener: Listener) -> dict[str, Any]:
    """Rank scans by the one ``rank_scans``."""
    from voxloom.annotate.rank import rank_scans, write_rank
    from voxloom.run.run import Run
    from voxloom.run.scans import Scan
    from voxloom.tasks.abilities import need

    if (folder / "ensemble.json").is_file():
        raise BadInput("an ensemble does not rank", order.run, "Rank with one of its members")
    need(Run(folder), "rank")
    opened = shelf.opened(folder, PredictOptions(), listener)
    sampling = order.sampling or members_that_there_are(opened)
    scans = [Scan(name, files, ".nii.gz") for name, files in order.scans]
    with listener.progress("Looking at the scans") as progress:
        rows = rank_scans(cast(Any, opened.predictor), scans, sampling, diversity=order.diversity, progress=progress)
    return {"rows": rows, "table": str(write_rank(rows, order.out))}


def explained(shelf: Shelf, folder: Path, order: ExplainOrder, listener: Listener) -> dict[str, Any]:
    """Maps of class activation by the one ``explain``."""
    from voxloom.verbs.explain import ExplainOptions, explain

    if (folder / "ensemble.json").is_file():
        raise BadInput("an ensemble is not explained", order.run, "Explain with one of its members")
    found = explain(folder, list(order.inputs), order.out, ExplainOptions(device=shelf.device), listener)
    return {"beside": [str(path) for path in found.files], "maps": found.rows, "says": found.says}


class Shelf:
    """Open networks by run, options and state of the weights; those that were not used for longest are put away."""

    def __init__(self, device: str, keep: int) -> None:
        self.device, self.keep = device, keep
        self._open: OrderedDict[Any, Opened] = OrderedDict()

    def on_device(self, options: PredictOptions) -> PredictOptions:
        """The options on the service's device, unless they name one."""
        return replace(options, device=self.device) if options.device == "auto" else options

    def opened(self, folder: Path, options: PredictOptions, listener: Listener) -> Opened:
        """The networks of a run, opened where they are not open as they stand on disk."""
        from voxloom.verbs.predict import open_predictor

        options = self.on_device(options)
        key = (folder, options.wish, weights_of(folder))
        if key not in self._open:
            listener.stage("Opening the networks")
            self._open[key] = open_predictor(folder, options)
        self._open.move_to_end(key)
        while len(self._open) > self.keep:
            self._open.popitem(last=False)
        return self._open[key]

    def __len__(self) -> int:
        return len(self._open)


def weights_of(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """What changes when a run is trained on: name, size and time of its weights and calibration."""
    others = sorted([*folder.glob("*.json"), *folder.glob("*.safetensors")])
    files = [*(fold.weights for fold in trained_folds(folder)), *others]
    stats = [(path, path.stat()) for path in files]
    return tuple((f"{path.parent.name}/{path.name}", stat.st_size, stat.st_mtime_ns) for path, stat in stats)


def listener_of(send: Callable[[Answer], None]) -> Listener:
    """Sends on what a verb tells: ("stage", text) and ("progress", (step, done, total))."""

    @contextlib.contextmanager
    def progress(step: str) -> Iterator[Progress]:
        send(("progress", (step, 0, 1)))
        yield lambda done, total: send(("progress", (step, done, total)))

    return Listener(stage=lambda text: send(("stage", text)), progress=progress)


def _end_with_parent() -> None:
    """Nothing may go on writing after a service that was killed: the next one may do the same work."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _say_nothing() -> None:
    """What libraries print of files (paths, names of patients) goes nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
