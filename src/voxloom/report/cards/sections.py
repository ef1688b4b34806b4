"""Sentences on the data, labels, folds, slices and preparation of a run: what the recipe's sections came to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from voxloom.dataset.patients import alike_ids
from voxloom.prepare.windows import HU_WINDOWS, PERCENTILE_WINDOWS
from voxloom.report.cards.facts import RunFacts
from voxloom.report.cards.subject import Subject
from voxloom.report.cards.words import NORMALIZATIONS, counted, listed, named, size


def data(facts: RunFacts, subject: Subject) -> Iterator[str]:
    """Cases, channels, what is learned, voxel size, folds."""
    if not facts.cases:
        return
    channels = facts.dataset.get("channels", [])
    yield (
        f"The data set {facts.dataset.get('name', '')} gave {patients_phrase(facts)} "
        f"with {counted(len(channels), 'image channel')} ({listed(channels)}); {subject.reference(facts)}."
    )
    yield from choices(facts)
    found = facts.fingerprint
    if facts.in_pixels:
        yield (
            f"The images have no voxel size; the median image had {size(found['median_shape'][:2], 'pixels')}, and distances are "
            "in pixels."
        )
    elif found.get("median_spacing"):
        yield (
            f"The median voxel was {size([round(v, 3) for v in found['median_spacing']], 'mm')} and the median volume "
            f"{size(found['median_shape'], 'voxels')} (left-right, front-back, feet-head)."
        )
    if facts.excluded:
        yield f"{counted(len(facts.excluded), 'case was', 'cases were')} excluded beforehand ({listed(facts.excluded)})."
    yield partition_sentence(facts)
    yield from division(facts)
    yield from added_sentences(facts)
    apart = facts.external or {Path(path).name: {} for path in facts.section("data").get("external") or ()}
    for name, figures in apart.items():
        many = f" ({counted(figures['cases'], 'case')})" if figures else ""
        yield f"The external data set {name}{many} was kept apart from planning and training."


def choices(facts: RunFacts) -> Iterator[str]:
    """What was taken of the files: labels, voxels that nobody annotated, series, and what became of labels."""
    d, merge = facts.section("data"), facts.section("labels").get("merge")
    if d.get("labels"):
        told = [f"{name} = {value if isinstance(value, int) else listed(value)}" for name, value in d["labels"].items()]
        yield f"The recipe named the labels by their values: {', '.join(told)}."
    if d.get("ignore") is not None:
        yield f"Voxels of value {d['ignore']} were not annotated; they counted neither in training nor in the figures."
    if merge:
        groups = merge if isinstance(merge, Mapping) else {"+".join(merge): merge}
        told = [
            f"{name} of {'all labels' if parts == 'all' else listed(parts)}" for name, parts in groups.items() if parts
        ]
        yield f"Labels were merged: {'; '.join(told)}."
    if d.get("series"):
        yield f"Of folders with several DICOM series those called {listed(d['series'])} were read."
    if d.get("patients") == "separate":
        yield "Every data set numbers its own patients, so equal names in two of them were taken as different people."
    if d.get("add"):
        yield f"Further data sets were trained on: {listed(Path(path).name for path in d['add'])}."


def division(facts: RunFacts) -> Iterator[str]:
    """By what the folds were made."""
    f, count = facts.section("folds"), facts.section("folds").get("count", 1)
    if f.get("test"):
        alike = f", alike in {listed(f['test_stratify'])}" if f.get("test_stratify") else ""
        yield f"Before that, {100 * f['test']:.3g} % of the patients were set apart as a test set{alike}."
    if f.get("stratify"):
        yield f"The division kept {named({}, f['stratify'])} alike on both sides."
    if f.get("sort_by"):
        yield (
            f"Patients were sorted by {named({}, f['sort_by'])} and cut into {count} blocks, so that every fold tests on unlike cases."
        )
    if f.get("group_by"):
        yield f"Cases with one value of {f['group_by']} were never divided between folds."
    if f.get("leave_out"):
        yield f"Every fold held out all cases of one value of {f['leave_out']}."
    if f.get("over") in ("first", "added"):
        which = "the first data set" if f["over"] == "first" else "the added data sets"
        yield f"Only cases of {which} were divided; the others trained in every fold."
    if f.get("file"):
        yield f"The division was given by the file {Path(f['file']).name}."
    if f.get("train_patients"):
        yield (
            f"Only {counted(f['train_patients'], 'patient')} of the training part of each fold "
            f"{'was' if f['train_patients'] == 1 else 'were'} trained on."
        )


def added_sentences(facts: RunFacts) -> Iterator[str]:
    """Cases of further data sets, and pseudo-labels."""
    pseudo = [case for case in facts.cases if case.get("pseudo")]
    if pseudo:
        yield f"{counted(len(pseudo), 'case')} with pseudo-labels of an earlier model trained in every fold and never validated."
    sets = Counter(case["origin"] for case in facts.cases if case.get("origin") and not case.get("pseudo"))
    if len(sets) > 1:
        yield f"The labelled cases came from {listed(f'{name} ({count})' for name, count in sets.items())}."
    always = [case for case in facts.cases if case["fold"] is None and not case.get("pseudo")]
    if always and len(always) < len(facts.cases) and len({case["fold"] for case in facts.cases}) > 2:
        yield f"{counted(len(always), 'labelled case')} trained in every fold; the others were divided."


def patients_phrase(facts: RunFacts) -> str:
    """``200 cases of 180 patients``; where the data set names no patients, that every case is taken as one."""
    cases = facts.cases
    if not facts.names_patients:
        doubt = alike_ids([case["id"] for case in cases])
        told = next(iter(doubt.values()), [])
        more = f", though {told[0]} and {told[1]} may be of one person" if told else ""
        return f"{counted(len(cases), 'case')} (no patients are named, so every case is taken as a patient of its own{more})"
    return f"{counted(len(cases), 'case')} of {counted(len(facts.patients(cases)), 'patient')}"


def partition_sentence(facts: RunFacts) -> str:
    """How cases were divided, and whether a patient is in two parts, as far as patients are named."""
    folds = sorted({case["fold"] for case in facts.cases if case["fold"] is not None})
    held = [case for case in facts.cases if case["fold"] is not None]
    if len(folds) > 1:
        sizes = [sum(case["fold"] == n for case in facts.cases) for n in folds]
        return (
            f"{'Patients' if facts.names_patients else 'Cases'} were divided into {len(folds)} folds for cross-validation "
            f"({', '.join(map(str, sizes))} cases); {patients_apart(facts)}."
        )
    if held:
        training = len(facts.cases) - len(held)
        of = f" of {counted(len(facts.patients(held)), 'patient')}" if facts.names_patients else ""
        return (
            f"{counted(len(held), 'case')} ({100 * len(held) / len(facts.cases):.0f} %){of} were held out for internal testing, "
            f"{training} were used for training; {patients_apart(facts)}."
        )
    return "All cases were used for training; none was held out."


def patients_apart(facts: RunFacts) -> str:
    """Whether a patient is in both parts of a split: what was checked, by the names that the data set gives."""
    if not facts.names_patients:
        return "no patients are named, so it could not be checked whether two cases are of one patient"
    both = facts.divided_patients
    if both:
        return f"{counted(len(both), 'patient')} had cases in both parts of a split ({listed(both[:4])})"
    return "by the patients' names in the data set, no patient was in both parts of a split"


def preparation(facts: RunFacts, subject: Subject) -> Iterator[str]:
    """Bias field, orientation, resampling, cropping, normalization."""
    p = facts.section("prepare")
    if not p:
        return
    if p.get("n4"):
        yield (
            f"The bias field was removed by N4 on an image {p.get('n4_shrink', 4)} times coarser, with at most "
            f"{listed(p.get('n4_iterations') or (50, 50, 50, 50))} iterations per level."
        )
    if steps := list(grid_steps(facts, p)):
        yield f"Images were {listed(steps)}."
    yield from slices(facts)
    yield from intensities(facts, p)


def grid_steps(facts: RunFacts, p: Mapping[str, Any]) -> Iterator[str]:
    """What changes the grid, participles."""
    plane = facts.section("slices").get("plane")
    if p.get("orientation") == "slices":
        yield "reoriented so that the axis of the slices (the largest spacing) comes last, without interpolation"
    elif p.get("orientation") and not facts.in_pixels:
        turned = f", turned so that {plane} slices follow one another" if plane else ""
        yield f"reoriented to {p['orientation']} without interpolation{turned}"
    elif plane:
        yield f"turned so that {plane} slices follow one another"
    order = {"linear": "linear interpolation", "cubic": "cubic B-splines"}.get(
        p.get("image_order", ""), "interpolation"
    )
    if p.get("resize_to"):
        yield f"resized to {size(p['resize_to'], 'voxels')} with {order}"
    same = facts.in_pixels and all(v in (None, 1) for v in p.get("spacing") or ())
    if any(p.get("spacing") or ()) and not same:
        mm = "pixels" if facts.in_pixels else "mm"
        yield f"resampled to {size([v and round(v, 4) for v in p['spacing']], mm)} with {order}"
    if p.get("crop") == "joint":
        bones = listed(p.get("joint_labels") or (1, 2))
        yield f"cropped to a square of {p.get('joint_mm', 120):g} mm around the place where the bones {bones} meet"
    elif p.get("crop") not in (None, "none"):
        yield f"cropped to the {p['crop']} region"
    if p.get("pad_to"):
        yield f"padded to at least {size(p['pad_to'], 'voxels')}"
    if p.get("crop_or_pad_to"):
        yield f"cropped about the middle or padded to {size(p['crop_or_pad_to'], 'voxels')}"


def slices(facts: RunFacts) -> Iterator[str]:
    """Which slices the network saw at once, and which in a pass."""
    s = facts.section("slices")
    if s.get("neighbors"):
        beyond = "the last slice again" if s.get("edges") == "replicate" else "zeros"
        yield (
            f"The network saw every slice with {counted(s['neighbors'], 'neighbor')} on either side as further channels, and beyond "
            f"the ends of a volume {beyond}."
        )
    if s.get("spread"):
        yield (
            f"The network saw {s['spread']} slices of the whole volume at once, a sorted random choice in training and evenly "
            "spread ones when it predicted."
        )
    if s.get("per_volume") == "all":
        yield "A pass over the training cases took all slices of every volume once."
    elif s.get("per_volume"):
        yield f"A pass over the training cases drew {counted(s['per_volume'], 'slice')} of every volume."
    if s.get("background") is False:
        yield "Slices without any label were not trained on."


def intensities(facts: RunFacts, p: Mapping[str, Any]) -> Iterator[str]:
    """Clipping and normalization."""
    if p.get("hu_window"):
        low, high = limits(p["hu_window"], HU_WINDOWS)
        yield f"Intensities were clipped to {low:g} to {high:g} HU."
    if p.get("percentile_clip"):
        low, high = limits(p["percentile_clip"], PERCENTILE_WINDOWS)
        yield f"Intensities were clipped to the percentiles {low:g} and {high:g} of each volume."
    kinds = p.get("normalize") or []
    kinds = [kinds] * len(facts.dataset.get("channels", ["image"])) if isinstance(kinds, str) else kinds
    if len(set(kinds)) == 1:
        yield f"Every channel was {named(NORMALIZATIONS, kinds[0])}."
    elif kinds:
        channels = facts.dataset.get("channels", [])
        pairs = [f"{c} was {named(NORMALIZATIONS, k)}" for c, k in zip(channels, kinds, strict=False)]
        yield f"{listed(pairs)}."


def limits(window: Any, known: dict[str, tuple[float, float]]) -> tuple[float, float]:
    """Two limits, or those of a named window."""
    low, high = known[window] if isinstance(window, str) else window
    return (low, high)
