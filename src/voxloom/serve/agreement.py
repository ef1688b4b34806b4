"""Two readers of one case, and all readers of all cases: the drawings of the store, measured by ``voxloom.evaluation``."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from voxloom.dataset import Labels
from voxloom.evaluation.case import evaluate_case
from voxloom.evaluation.folders import find_labels
from voxloom.evaluation.point_tests import annotator_figures, compare_annotators
from voxloom.evaluation.raters import study_raters, summarize_raters
from voxloom.files import plain
from voxloom.formats import read_label
from voxloom.points import Point, read_points
from voxloom.serve.refusals import NotThere
from voxloom.serve.store import Store, Version
from voxloom.serve.store.versions import Kind


def compare_readers(store: Store, case: str, a: str, b: str, labels: Labels | None) -> dict[str, Any]:
    """The last drawings of two readers of one case.

    Parameters
    ----------
    labels : that are measured; None measures every value that either used.

    Returns
    -------
    ``dice``, ``hd95`` and ``assd`` per label (mm); ``landmarks``: rows of ``compare_annotators``; ``missing``: landmarks or labels
    that only one of them has, by reader.

    Raises
    ------
    NotThere : one of them has drawn nothing of a kind that the other has drawn.
    """
    found: dict[str, Any] = {"case": case, "a": a, "b": b, "labels": {}, "landmarks": [], "missing": {"a": [], "b": []}}
    compared = False
    kinds: tuple[Kind, ...] = ("label", "points")
    for kind in kinds:
        first, second = (store.latest(case, author=author, kind=kind) for author in (a, b))
        if first is None or second is None:
            continue
        compared = True
        files = store.drawings(case).file(first), store.drawings(case).file(second)
        if kind == "label":
            named = labels or find_labels({a: files[0], f"{b}, second": files[1]})
            measured = evaluate_case(read_label(files[0]), read_label(files[1]), named)
            for name, m in measured.items():
                found["labels"][name] = {"dice": m.dice, "hd95": m.hd95, "assd": m.assd}
                if bool(m.volume_ml_prediction) != bool(m.volume_ml_truth):
                    found["missing"]["b" if m.volume_ml_prediction else "a"].append(name)
        else:
            points = [{case: read_points(file)} for file in files]
            rows = compare_annotators(points[0], points[1], {case: store.images.header(store.case(case)).affine})
            found["landmarks"] = rows
            for row in rows:
                if row["missing"]:
                    found["missing"][row["missing"]].append(f"{row['name']} {row['side']}".strip())
    if not compared:
        raise NotThere("the two have drawn nothing of one kind in this case", "case", "Both save a drawing first")
    answer: dict[str, Any] = plain(found)
    return answer


def readers_table(store: Store, labels: Labels | None) -> dict[str, Any]:
    """Agreement of all readers over all cases that two or more of them drew.

    Returns
    -------
    ``labels``: the figures of ``voxloom raters``, None where no label map was drawn twice; ``landmarks``: per pair of readers the
    figures of ``voxloom points --scans``.

    Raises
    ------
    NotThere : no case was drawn by two readers.
    """
    maps, points = last_drawings(store, "label"), last_drawings(store, "points")
    read = {"labels": label_figures(store, maps, labels), "landmarks": point_figures(store, points)}
    if read["labels"] is None and not read["landmarks"]:
        raise NotThere("no case was drawn by two readers", "cases", "Let a second reader annotate: GET /api/next")
    answer: dict[str, Any] = plain(read)
    return answer


def last_drawings(store: Store, kind: str) -> dict[str, dict[str, Version]]:
    """Reader -> case -> the last drawing, for cases that two or more readers drew."""
    found: dict[str, dict[str, Version]] = {}
    for case in store.ids():
        own = {v.author: v for v in store.versions(case) if v.kind == kind and v.author}
        if len(own) > 1:
            for author, version in own.items():
                found.setdefault(author, {})[case] = version
    return found


def label_figures(store: Store, drawn: dict[str, dict[str, Version]], labels: Labels | None) -> dict[str, Any] | None:
    """What ``voxloom raters`` says of label maps."""
    if len(drawn) < 2:
        return None
    with tempfile.TemporaryDirectory(dir=store.state) as scratch:
        folders = {}
        for number, (author, versions) in enumerate(drawn.items()):
            folders[author] = Path(scratch) / str(number)
            folders[author].mkdir()
            for case, version in versions.items():
                os.link(store.drawings(case).file(version), folders[author] / f"{case}.nii.gz")
        files = {f"{a}/{c}": folders[a] / f"{c}.nii.gz" for a, versions in drawn.items() for c in versions}
        patients = {case: store.case(case).patient for versions in drawn.values() for case in versions}
        study = study_raters(folders, labels or find_labels(files), patients=patients, workers=0)
        return summarize_raters(study)


def point_figures(store: Store, drawn: dict[str, dict[str, Version]]) -> list[dict[str, Any]]:
    """Per pair of readers and landmark: cases, distances, overlap of slices, and who marked nothing."""
    pairs = []
    for a, b in combinations(drawn, 2):
        cases = [case for case in drawn[a] if case in drawn[b]]
        if not cases:
            continue
        first, second = ({case: _points(store, case, drawn[who][case]) for case in cases} for who in (a, b))
        affines = {case: store.images.header(store.case(case)).affine for case in cases}
        rows = compare_annotators(first, second, affines)
        pairs.append({"a": a, "b": b, "cases": len(cases), "landmarks": annotator_figures(rows)})
    return pairs


def _points(store: Store, case: str, version: Version) -> Sequence[Point]:
    return read_points(store.drawings(case).file(version))
