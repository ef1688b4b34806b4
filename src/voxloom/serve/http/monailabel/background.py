"""Long work in MONAI Label's terms: what a task is, predictions of many images, and scoring. Jobs are those of the own API."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Literal

from voxloom.errors import VoxloomError
from voxloom.serve.dice import dice_of
from voxloom.serve.http.monailabel.desk import Desk
from voxloom.serve.http.monailabel.kept import FINAL, ORIGINAL
from voxloom.serve.http.people import Person
from voxloom.serve.jobs import Job
from voxloom.serve.refusals import Conflict
from voxloom.serve.scrub import told_of_job

Which = Literal["all", "labeled", "unlabeled"]
_STATUS = {"queued": "SUBMITTED", "running": "RUNNING", "done": "DONE", "failed": "ERROR", "cancelled": "STOPPED"}
#: Seconds between two looks at whether a batch was stopped.
_LOOK = 0.2


def task_of(job: Job) -> dict[str, Any]:
    """A job as clients know tasks. ``details`` is never empty: 3D Slicer takes its last line."""
    message = job.message if job.error is None else str(told_of_job(job.error, None)["what"])
    return {
        "id": job.id,
        "status": _STATUS[job.state],
        "start_ts": _time(job.started or job.created),
        "end_ts": _time(job.ended),
        "request": dict(job.about),
        "details": [message],
        "progress": job.progress,
        "result": {key: value for key, value in job.result.items() if key != "paths"},
    }


def tasks_of(desk: Desk, kind: str) -> list[Job]:
    """Jobs of a kind, the oldest first."""
    return [job for job in desk.service.engine.jobs() if job.kind == kind]


def at_work(desk: Desk, kind: str) -> list[Job]:
    """Jobs of a kind that have not ended."""
    return [job for job in tasks_of(desk, kind) if not job.has_ended]


def chosen(desk: Desk, which: Which, person: Person) -> list[str]:
    """Images that are all, labelled, or not."""
    if which == "all":
        return desk.images.ids()
    own = set(desk.service.store.ids())
    segmented = frozenset() if desk.series is None else desk.series.labelled()

    def labelled(image: str) -> bool:
        return image in segmented or (image in own and bool(set(desk.labels.of(image, person)) - {ORIGINAL}))

    return [image for image in desk.images.ids() if labelled(image) == (which == "labeled")]


def predict_many(desk: Desk, run: str, images: Sequence[str]) -> Job:
    """Predict images one after the other; an image that fails is told and does not stop the others.

    Raises
    ------
    NotThere : there is no such run.
    Conflict : another batch is at work.
    """
    desk.service.run(run)

    def each(job: Job, image: str) -> None:
        child = desk.service.predict(desk.images.case(image), run)
        while not (found := desk.service.engine.wait(child.id, _LOOK)).has_ended:
            if desk.service.engine.job(job.id).has_ended:
                desk.service.cancel(child.id)
        if found.state == "failed":
            raise VoxloomError(found.message)

    return in_background(desk, "batch", {"run": run, "images": len(images)}, images, each)


def score(desk: Desk, person: Person) -> Job:
    """Compare each case's last prediction with its final label: mean Dice.

    Raises
    ------
    Conflict : another scoring is at work.
    """
    labels = desk.service.labels()
    scores: dict[str, float] = {}

    def each(job: Job, case: str) -> None:
        found = desk.labels.of(case, person)
        if labels is not None and FINAL in found and ORIGINAL in found:
            scores[case] = dice_of(found[ORIGINAL].file, found[FINAL].file, labels)["mean"]

    return in_background(desk, "scoring", {"method": "dice"}, desk.service.store.ids(), each, lambda: {"dice": scores})


def in_background(
    desk: Desk,
    kind: str,
    about: dict[str, Any],
    names: Iterable[str],
    each: Callable[[Job, str], None],
    result: Callable[[], dict[str, Any]] = dict,
) -> Job:
    """A job that does something with one name after the other, in a thread; what fails is in its result."""
    if at_work(desk, kind):
        raise Conflict(f"a {kind} is at work", kind, "Wait for it, or stop it")
    board, left = desk.service.engine.board, list(names)
    job = board.add(kind, about)

    def work() -> None:
        board.start(job.id)
        failed: dict[str, str] = {}
        for number, name in enumerate(left):
            if board.get(job.id).has_ended:
                return
            board.tell(job.id, number / len(left), f"{number} of {len(left)}")
            try:
                each(job, name)
            except (VoxloomError, OSError) as error:
                failed[name] = str(told_of_job({"what": str(error), "where": None, "fix": None}, None)["what"])
        board.finish(job.id, {**result(), "failed": failed})

    threading.Thread(target=work, name=f"voxloom-{kind}", daemon=True).start()
    return job


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M:%S")
