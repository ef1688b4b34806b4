"""BIDS: label maps (``dseg``, ``probseg``, ``mask``) in a derivative, images in it or in the raw set it comes from.

Knows the file names ``sub-*/[ses-*/]anat/*_suffix``, where the raw set and the derivatives lie, label tables
``*dseg.tsv`` and ``participants.tsv``. A case is one subject and session. Does not know other data types.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from voxloom.dataset.case import Case
from voxloom.dataset.columns import Meanings, called, find_roles, meanings_of
from voxloom.dataset.labels import Label, Labels
from voxloom.dataset.layouts.contents import Contents, kind_of, read_json, refuse_unused_labels, unlabeled_notes
from voxloom.dataset.listing import refuse_dead_link
from voxloom.dataset.names import is_clutter, split_ending
from voxloom.dataset.sources import ImageSource, MaskStack
from voxloom.dataset.tables import columns_of, describe, name_some, read_table
from voxloom.errors import BadInput

NAME = "BIDS"
LOOKS_LIKE = "folders sub-*/anat with *_dseg, *_probseg or *_mask files (BIDS derivatives)"
_LABEL_SUFFIXES = ("dseg", "probseg", "mask", "seg", "roi")
#: Suffixes of one file with all labels; the others have a file per label.
_WHOLE = ("dseg", "seg")
_NATIVE = {"", "orig", "individual", "T1w"}
_NOT_A_CHANNEL = {"sub", "ses", "space", "res"}


@dataclass(frozen=True)
class BidsFile:
    """One image file: its case (``sub-01_ses-1``), entities, suffix and path."""

    case: str
    entities: tuple[tuple[str, str], ...]
    suffix: str
    path: str

    @property
    def space(self) -> str:
        """The space entity; all native spaces are one."""
        space = dict(self.entities).get("space", "")
        return "" if space in _NATIVE else space

    def key(self, without: Iterable[str] = ()) -> str:
        """Entities that tell this file from others of its case, then the suffix; the channel name of an image."""
        dropped = _NOT_A_CHANNEL | set(without)
        return "_".join([f"{k}-{v}" for k, v in self.entities if k not in dropped] + [self.suffix])


def matches(root: Path) -> bool:
    """Whether there are subject folders."""
    return root.is_dir() and any(p.is_dir() for p in root.glob("sub-*"))


def read(root: Path) -> Contents:
    """The set in ``root``, a derivative or a raw set with its derivatives.

    Raises BadInput for labels without image, a case that lacks a channel or a mask, or no image at all.
    """
    trees = [root, *_related(root)]
    files = [file for tree in trees for file in _files(tree)]
    labels, declared, notes = _labels([f for f in files if f.suffix in _LABEL_SUFFIXES], trees)
    images = _images([f for f in files if f.suffix not in _LABEL_SUFFIXES], _spaces(files, labels))
    if not images:
        raise BadInput("no image beside the labels", root, "Put the derivative into derivatives/ of the raw data set")
    refuse_unused_labels(set(labels) - set(images), root)
    labelled = {name: images[name] for name in images if name in labels or not labels}
    channels, more = _common_channels(labelled, root)
    used = {name: found for name, found in images.items() if name in labelled or set(channels) <= set(found)}
    if left_out := sorted(set(images) - set(used)):
        notes.append(f"left out, without a label and without {' and '.join(channels)}: {name_some(left_out)}")
    cases = [
        Case(
            id=name,
            patient=name.split("_")[0],
            images={channel: used[name][channel] for channel in channels},
            label=labels.get(name),
        )
        for name in sorted(used)
    ]
    cases, told, columns = _with_participants(cases, trees)
    title = _description(root).get("Name") or root.resolve().name
    kinds = tuple(kind_of(channel) for channel in channels)
    return Contents(
        str(title), tuple(cases), channels, declared, kinds, (*notes, *more, *told, *unlabeled_notes(cases)), columns
    )


def _description(root: Path) -> dict[str, object]:
    path = root / "dataset_description.json"
    return read_json(path) if path.is_file() else {}


def _related(root: Path) -> list[Path]:
    """The raw set of a derivative, or the derivatives of a raw set."""
    sources = _description(root).get("SourceDatasets")
    urls = [s.get("URL", "") for s in sources if isinstance(s, dict)] if isinstance(sources, list) else []
    local = [root / url.removeprefix("file://") for url in urls if url and "://" not in url.removeprefix("file://")]
    raw = root.resolve().parent.parent
    if root.resolve().parent.name == "derivatives":
        local.append(raw)
    local += sorted(p for p in (root / "derivatives").glob("*") if p.is_dir())
    unique = {path.resolve(): path for path in local if matches(path)}
    unique.pop(root.resolve(), None)
    return list(unique.values())


def _files(tree: Path) -> Iterator[BidsFile]:
    for subject in sorted(p for p in tree.glob("sub-*") if p.is_dir()):
        for session in [subject, *sorted(subject.glob("ses-*"))]:
            folder = session / "anat"
            if folder.is_dir():
                case = subject.name if session is subject else f"{subject.name}_{session.name}"
                yield from (f for f in (_parse(folder, name, case) for name in sorted(os.listdir(folder))) if f)


def _parse(folder: Path, name: str, case: str) -> BidsFile | None:
    stem, ending = split_ending(name)
    if not ending or is_clutter(name):
        return None
    refuse_dead_link(folder / name)
    *parts, suffix = stem.split("_")
    entities = tuple((k, v) for k, _, v in (part.partition("-") for part in parts) if v)
    return BidsFile(case, entities, suffix, str(folder / name))


def _labels(files: list[BidsFile], trees: list[Path]) -> tuple[dict[str, ImageSource], Labels | None, list[str]]:
    """Label source per case, the declared labels, and notes on label files that were not taken."""
    suffix = next((s for s in _LABEL_SUFFIXES if any(f.suffix == s for f in files)), None)
    if suffix is None:
        return {}, None, []
    left = Counter(f.key() for f in files if f.suffix != suffix)
    told = [f"labels are the {suffix} files; not taken: {name_some(sorted(left))}"] if left else []
    files = [f for f in files if f.suffix == suffix]
    named = ("label", "desc") if suffix not in _WHOLE else ()
    variants = Counter((f.space, f.key(named)) for f in {(f.case, f.space, f.key(named)): f for f in files}.values())
    space, key = min(variants, key=lambda v: (-variants[v], v[0] != "", len(v[1]), v))
    chosen = [f for f in files if (f.space, f.key(named)) == (space, key)]
    others = sorted(f"{v[1]}{' in space ' + v[0] if v[0] else ''}" for v in variants if v != (space, key))
    notes = [f"labels are the {key} files; not taken: {name_some(others)}", *told] if others else told
    if suffix in _WHOLE:
        _refuse_twice(chosen)
        return {f.case: f.path for f in chosen}, _label_table(chosen[0], trees), notes
    stacks, declared = _stacks(chosen)
    return stacks, declared, notes


def _stacks(files: list[BidsFile]) -> tuple[dict[str, ImageSource], Labels]:
    """One MaskStack per case of masks or probability maps, in the order of the labels' names."""
    by_case: dict[str, dict[str, str]] = defaultdict(dict)
    for f in files:
        entities = dict(f.entities)
        by_case[f.case][entities.get("label") or entities.get("desc") or f.suffix] = f.path
    names = sorted({name for found in by_case.values() for name in found} - {"background", "BG"})
    for case, found in by_case.items():
        if missing := [name for name in names if name not in found]:
            where = Path(next(iter(found.values()))).parent
            raise BadInput(f"case {case} has no mask for {name_some(missing)}", where, "Add the file; it may be empty")
    labels = Labels(tuple(Label(name, (n,)) for n, name in enumerate(names, start=1)))
    return {case: MaskStack(tuple(found[name] for name in names)) for case, found in by_case.items()}, labels


def _label_table(label: BidsFile, trees: list[Path]) -> Labels | None:
    """Labels of the most specific ``*dseg.tsv`` that fits the label file; None where there is no table."""
    folders = dict.fromkeys([Path(label.path).parent, *trees])
    fitting = []
    for path in (p for folder in folders for p in sorted(folder.glob("*dseg.tsv"))):
        parts = set(path.name.removesuffix(".tsv").split("_")) - {"dseg"}
        if parts <= {f"{k}-{v}" for k, v in label.entities}:
            fitting.append((len(parts), path))
    if not fitting:
        return None
    table = max(fitting, key=lambda item: item[0])[1]
    rows = read_table(table)
    if not all({"index", "name"} <= set(row) and isinstance(row["index"], int) for row in rows):
        raise BadInput("a label table needs the columns index (integer) and name", table, "Add them")
    return Labels(tuple(Label(str(row["name"]), (row["index"],)) for row in rows if row["index"] != 0))


def _spaces(files: list[BidsFile], labels: dict[str, ImageSource]) -> str:
    """The space in which the labels lie."""
    first = next(iter(labels.values()), None)
    path = first.paths[0] if isinstance(first, MaskStack) else first
    return next((f.space for f in files if f.path == path), "")


def _images(files: list[BidsFile], space: str) -> dict[str, dict[str, str]]:
    """Path by channel by case, of the images that lie in the labels' space."""
    images: dict[str, dict[str, str]] = defaultdict(dict)
    _refuse_twice(chosen := [f for f in files if f.space == space])
    for f in chosen:
        images[f.case][f.key()] = f.path
    return images


def _refuse_twice(files: list[BidsFile]) -> None:
    seen: dict[tuple[str, str], str] = {}
    for f in files:
        other = seen.setdefault((f.case, f.key()), f.path)
        if other != f.path:
            raise BadInput(f"case {f.case} has {f.key()} twice: {other}", f.path, "Keep one of them")


def _common_channels(images: dict[str, dict[str, str]], root: Path) -> tuple[tuple[str, ...], list[str]]:
    """Channels that every case has, and a note on the others."""
    counts = Counter(channel for found in images.values() for channel in found)
    common = tuple(sorted(channel for channel, n in counts.items() if n == len(images)))
    if not common:
        listed = ", ".join(f"{channel} in {n} of {len(images)}" for channel, n in counts.most_common())
        raise BadInput(
            f"no image type is there for every case: {listed}", root, "Complete it or remove the cases without"
        )
    rest = [f"{channel} ({n} of {len(images)} cases)" for channel, n in counts.items() if channel not in common]
    return common, [f"not taken, because some cases lack it: {', '.join(rest)}"] if rest else []


def _with_participants(cases: list[Case], trees: list[Path]) -> tuple[list[Case], tuple[str, ...], Meanings]:
    """The cases with what ``participants.tsv`` says of their subjects; a column ``patient`` may put subjects together."""
    table = next((t / "participants.tsv" for t in trees if (t / "participants.tsv").is_file()), None)
    if table is None:
        return cases, (), ()
    listed = read_table(table)
    key = next(iter(called(columns_of(listed), ("participantid", "sub", "subject"))), "participant_id")
    roles = find_roles(listed, table, (key,))
    rows = {f"sub-{str(row.get(key, '')).removeprefix('sub-')}": row for row in listed}
    described = [describe(c, rows[c.patient], table, roles, (key,)) if c.patient in rows else c for c in cases]
    absent = sorted({c.patient for c in cases} - set(rows))
    notes = [f"participants.tsv has no row for {name_some(absent)}"] if absent else []
    return described, (*notes, *roles.notes), meanings_of(columns_of(listed), {**roles.meanings, key: "subject"})
