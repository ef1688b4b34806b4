"""Labels of one data set in the terms of another: by name, by value where there is no name, or refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from voxloom.dataset import Case, Label, Labels
from voxloom.dataset.label_match import check_same_labels, match_labels
from voxloom.dataset.records import recorded_case, sources_of
from voxloom.dataset.values import LabelScan
from voxloom.errors import BadInput
from voxloom.formats import write_volume
from voxloom.volume import Volume


def labels(ignore: int | None = None, background: int = 0, **values: int | tuple[int, ...]) -> Labels:
    found = tuple(Label(name, (v,) if isinstance(v, int) else v) for name, v in values.items())
    return Labels(found, ignore=ignore, background=background)


@pytest.mark.parametrize(
    ("theirs", "table"),
    [
        (labels(a=1, b=2), {}),
        (labels(b=1, a=2), {1: 2, 2: 1}),
        (labels(A=10, B=20), {10: 1, 20: 2}),  # names without case
        (labels(a=1, b=2, c=3), {3: 0}),  # more than the run knows: background
        (labels(a=1, c=2, b=3), {2: 0, 3: 2}),
        (labels(label_1=1, label_2=2), {}),  # nobody named them
        (labels(a=1, label_2=2), {}),
        (labels(a=0, b=2, background=1), {1: 0, 0: 1}),
    ],
)
def test_values_follow_names(theirs: Labels, table: dict[int, int]) -> None:
    assert dict(match_labels(labels(a=1, b=2), theirs, "set").table) == table


@pytest.mark.parametrize(
    ("theirs", "told"),
    [
        (labels(x=1, y=2), "label a .1. is not declared here; declared are 1 x, 2 y"),
        (labels(a=1), "label b"),
        (labels(a=(1, 2), b=(2, 3)), "value 2 is a and b here"),
    ],
)
def test_contradictions_are_refused(theirs: Labels, told: str) -> None:
    with pytest.raises(BadInput, match=told):
        match_labels(labels(a=1, b=2), theirs, "set")


def test_what_becomes_background_is_noted() -> None:
    (note,) = match_labels(labels(a=1), labels(b=1, a=2), "set").notes
    assert note.startswith("b of the data set")


def test_regions_and_merged_labels_match_by_what_lies_in_them() -> None:
    ours = labels(whole=(1, 2, 3), core=(2, 3))
    assert dict(match_labels(ours, labels(whole=(4, 5), core=5), "set").table) == {4: 1, 5: 2}
    assert dict(match_labels(labels(kidney=(1, 2)), labels(kidney=7), "set").table) == {7: 1}


def test_ignored_voxels_stay_ignored() -> None:
    match = match_labels(labels(a=1), labels(a=2, ignore=1), "set")
    assert match.labels.ignore == 2
    assert dict(match.table) == {2: 1, 1: 2}
    kept = match_labels(labels(a=1, ignore=9), labels(a=1, ignore=255), "set")
    assert (kept.labels.ignore, dict(kept.table)) == (9, {255: 9})


def test_a_recoded_label_map_is_read_with_the_other_values(tmp_path: Path) -> None:
    values = np.array([0, 1, 2, 200], np.uint8).reshape(1, 4, 1, 1)
    write_volume(Volume(values, np.eye(4)), tmp_path / "m.nii.gz")
    case = Case("m", "m", images={"MR": str(tmp_path / "m.nii.gz")}, label=str(tmp_path / "m.nii.gz"))
    match = match_labels(labels(a=1, b=2, c=300), labels(b=1, a=2, c=200), "set")
    read = match.applied(case).read_label()
    assert read is not None
    assert read.data.ravel().tolist() == [0, 2, 1, 300]
    assert match.applied(case).source_files == case.source_files
    kept = json.loads(json.dumps({"id": "m", "patient": "m", "sources": sources_of(match.applied(case))}))
    assert recorded_case(kept).label == match.applied(case).label  # as a run's cases.json keeps it
    assert match_labels(labels(a=1), LabelScan([case]), "set").applied(case) is case


def test_sets_that_train_together_have_equal_values() -> None:
    check_same_labels([labels(a=1, b=2)], labels(a=1, b=2), Path("x"))
    check_same_labels([labels(a=1, b=2), labels(ab=(1, 2))], labels(ab=1), Path("x"))
    for theirs in (labels(b=1, a=2), labels(x=1, y=2), labels(a=1)):
        with pytest.raises(BadInput):
            check_same_labels([labels(a=1, b=2)], theirs, Path("x"))
