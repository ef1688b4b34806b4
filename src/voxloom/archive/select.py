"""A data set selected from an archive: rules in, pseudonymous NIfTI with a table and a report out.

Knows the layout that ``Dataset`` reads, the link file and tables that are attached. The folder appears complete or not at
all. Does not know how a case is chosen or made.
"""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from voxloom.archive.align import Register
from voxloom.archive.attach import Attached, read_attached
from voxloom.archive.broken import broken_beside, broken_folders
from voxloom.archive.catalogue import Archive
from voxloom.archive.choose import ChosenCase, Instance, Step, choose, images_of
from voxloom.archive.codes import code_of
from voxloom.archive.convert import CaseWork, Made, make_case
from voxloom.archive.deidentify import age_of
from voxloom.archive.flow import flow_text, write_flow
from voxloom.archive.identity import Identity, load_key, write_private
from voxloom.archive.meaning import BODY_PARTS, VENDORS
from voxloom.archive.rules import SelectRules
from voxloom.errors import BadInput, VoxloomError
from voxloom.files import new_folder, write_text
from voxloom.parallel import map_outcomes
from voxloom.progress import Progress

_VENDORS = frozenset(name for name, _ in VENDORS)
_PARTS = frozenset(name for name, _ in BODY_PARTS)


@dataclass(frozen=True)
class SelectOptions:
    """What is decided for one run and not by the rules.

    Parameters
    ----------
    key : file with the secret key of the pseudonyms, made when missing; None takes a key that nobody keeps.
    link : new file (mode 600) that tells who is behind each case; None writes none.
    register : "rigid" registers channels of different frames of reference.
    keep_dicom : write de-identified DICOM copies too.
    attach : table (.csv) with labels, points or targets by SeriesInstanceUID, StudyInstanceUID or PatientID.
    workers : processes; None takes the usable cores.
    """

    key: Path | None = None
    link: Path | None = None
    register: Register = "no"
    keep_dicom: bool = False
    attach: Path | None = None
    workers: int | None = None


@dataclass(frozen=True)
class Selection:
    """What a selection made.

    Parameters
    ----------
    folder : the data set.
    steps : counts after every rule; the last are the cases that could be made.
    cases : names of the cases.
    refused : case name and reason of those that could not be made.
    copies : groups of cases with exactly the same voxels in a channel.
    """

    folder: Path
    steps: tuple[Step, ...]
    cases: tuple[str, ...]
    refused: tuple[tuple[str, str], ...]
    copies: tuple[tuple[str, ...], ...]

    def __repr__(self) -> str:
        refused = [f"Left out {name}: {reason}" for name, reason in self.refused]
        return "\n".join([flow_text(self.steps), f"{len(self.cases)} cases in {self.folder}", *refused])

    def _repr_html_(self) -> str:
        """What each rule left, in a notebook."""
        return f"<pre>{escape(repr(self))}</pre>"


def select(
    archive: str | Path,
    rules: SelectRules,
    folder: str | Path,
    *,
    source: str | Path = "rules",
    options: SelectOptions = SelectOptions(),
    progress: Progress | None = None,
) -> Selection:
    """Select by ``rules`` and write a data set that :class:`voxloom.Dataset` opens.

    Parameters
    ----------
    archive : written by ``voxloom index``.
    rules : see :func:`load_rules`.
    folder : new. Gets cases.csv, images/, headers/ (de-identified, JSON), selection/ (flow.txt, flow.csv, flow.svg,
        refused.csv), and with ``keep_dicom`` dicom/. It appears complete or not at all.
    source : where the rules come from, for messages and for files that they name.
    progress : called with (cases done, cases).

    A case that cannot be made is refused with its reason, and the others are made.

    Raises BadInput for rules that do not fit the archive, no case at all, an existing folder or link file, and a bad key.
    """
    target = Path(folder)
    _refuse_taken(target, options.link)
    attached = read_attached(options.attach) if options.attach is not None else Attached("", {})
    choice = choose(Archive(archive), rules, source)
    if not choice.cases:
        raise BadInput(
            f"no series is left after: {_emptied(choice.steps)}", source, "Loosen it; --dry-run shows all steps"
        )
    identity = Identity(load_key(options.key), rules.dates)
    with new_folder(target) as root:
        making = _Making(rules, identity, options, root)
        made, refused = making.cases(choice.cases, Archive(archive), progress)
        if not made:
            raise BadInput(
                f"none of the cases could be made, the first because: {refused[0][1]}", source, "Change the rules"
            )
        _write_table(made, identity, attached, rules, root)
        steps = (*choice.steps, _last_step(made))
        _write_report(steps, refused, root)
        if options.link is not None:
            write_private(options.link, _link(choice.cases, identity, {name for name, _, _ in made}))
    return Selection(target, steps, tuple(name for name, _, _ in made), tuple(refused), _copies(made))


def _refuse_taken(folder: Path, link: Path | None) -> None:
    """Refuse to write over a folder or a link file (BadInput)."""
    if folder.exists():
        raise BadInput("exists already", folder, "Name a new folder; nothing is overwritten")
    if link is not None and link.exists():
        raise BadInput("exists already", link, "Name a new file; nothing is overwritten")


_Made = list[tuple[str, ChosenCase, Made]]


@dataclass(frozen=True)
class _Making:
    """What the making of all cases shares; ``folder`` is the data set that they are written into."""

    rules: SelectRules
    identity: Identity
    options: SelectOptions
    folder: Path

    def cases(
        self, cases: Sequence[ChosenCase], archive: Archive, progress: Progress | None
    ) -> tuple[_Made, list[tuple[str, str]]]:
        """The cases that could be made, and name and reason of the others."""
        images, broken = images_of(archive, cases), broken_folders(archive)
        works = [self.work(case, images, broken) for case in cases]
        items = [(work.name, work) for work in works]
        made: _Made = []
        refused: list[tuple[str, str]] = []
        outcomes = map_outcomes(make_case, items, step="converting", workers=self.options.workers, progress=progress)
        for (name, outcome), case in zip(outcomes, cases, strict=True):
            if isinstance(outcome, BadInput):
                refused.append((name, f"{outcome.what}. {outcome.fix}" if outcome.fix else outcome.what))
                _remove_case(self.folder, name)
            elif isinstance(outcome, VoxloomError):
                raise outcome
            else:
                made.append((name, case, outcome))
        return made, refused

    def work(self, case: ChosenCase, images: Mapping[str, tuple[Instance, ...]], broken: dict[str, int]) -> CaseWork:
        """How one case is made: of which files, and beside which that are broken."""
        instances = {name: images[facts["SeriesInstanceUID"]] for name, facts in case.series.items()}
        return CaseWork(
            name=self.identity.case(case.person, case.key),
            case=case,
            channels=self.rules.channels,
            instances=instances,
            reference=self.rules.reference_channel,
            register=self.options.register,
            resample_tilt=self.rules.resample_tilt,
            keep_dicom=self.options.keep_dicom,
            identity=self.identity,
            folder=self.folder,
            broken={name: broken_beside(files, broken) for name, files in instances.items()},
        )


def _remove_case(folder: Path, name: str) -> None:
    """Take away what a refused case left behind."""
    for path in [*folder.glob(f"images/{name}_*"), *folder.glob(f"headers/{name}_*")]:
        path.unlink()
    shutil.rmtree(folder / "dicom" / name, ignore_errors=True)


def _write_table(made: _Made, identity: Identity, attached: Attached, rules: SelectRules, folder: Path) -> None:
    """``cases.csv``: one row per case, with facts that tell nobody's identity."""
    single = len(rules.channels) == 1
    rows = []
    for name, case, result in made:
        facts = case.series[rules.reference_channel]
        row: dict[str, Any] = {"case": name, "patient": identity.patient(case.person)}
        row |= {"image" if single else f"image_{channel}": path for channel, path in result.images.items()}
        row |= attached.copy_for(name, facts, folder)
        vendor = facts["derived_vendor"] if facts["derived_vendor"] in _VENDORS else None
        row["group"] = " ".join(
            str(v) for v in (vendor, facts["derived_field_strength"] and f"{facts['derived_field_strength']:g} T") if v
        )
        row |= {
            "derived_age": _years(facts["PatientAge"]),
            "PatientSex": code_of("PatientSex", facts["PatientSex"] or ""),
            "derived_date": identity.date(facts["StudyDate"], case.person),
            "Modality": code_of("Modality", facts["Modality"] or ""),
            **{key: facts[key] for key in ("derived_weighting", "derived_plane", "derived_spacing")},
            "derived_body_part": _body_part(facts["derived_body_part"]),
            "derived_contrast": facts["derived_contrast"],
        }
        rows.append(row)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    write_text(folder / "cases.csv", _csv([columns, *([_cell(row.get(key)) for key in columns] for row in rows)]))


def _body_part(told: str | None) -> str | None:
    """A body part by one of our names, or by a standard one; whatever else people typed is left out."""
    return told if told in _PARTS or code_of("BodyPartExamined", (told or "").upper()) else None


def _years(age: str | None) -> int | None:
    known = age_of(age)
    return int(known[:3]) if known and known.endswith("Y") else None


def _cell(value: Any) -> Any:
    return "" if value is None else value


def _csv(rows: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _link(cases: Sequence[ChosenCase], identity: Identity, made: set[str]) -> str:
    """Who is behind each case, also behind those that were refused."""
    keys = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "StudyDate")
    rows: list[list[Any]] = [["case", "person", "channel", *keys, "refused"]]
    for case in cases:
        name = identity.case(case.person, case.key)
        for channel, facts in case.series.items():
            rows.append(
                [name, case.person, channel, *(_cell(facts[key]) for key in keys), "" if name in made else "yes"]
            )
    return _csv(rows)


def _last_step(made: _Made) -> Step:
    series = {facts["SeriesInstanceUID"]: facts["instances"] for _, case, _ in made for facts in case.series.values()}
    studies = {facts["StudyInstanceUID"] for _, case, _ in made for facts in case.series.values()}
    return Step(
        "could be read and aligned",
        len({case.person for _, case, _ in made}),
        len(studies),
        len(series),
        sum(series.values()),
    )


def _write_report(steps: Sequence[Step], refused: Sequence[tuple[str, str]], folder: Path) -> None:
    (folder / "selection").mkdir()
    write_flow(steps, folder / "selection")
    write_text(folder / "selection" / "refused.csv", _csv([("case", "reason"), *refused]))


def _copies(made: _Made) -> tuple[tuple[str, ...], ...]:
    groups: dict[tuple[str, str], list[str]] = {}
    for name, _, result in made:
        for channel, voxels in result.voxels.items():
            groups.setdefault((channel, voxels), []).append(name)
    return tuple(sorted({tuple(names) for names in groups.values() if len(names) > 1}))


def _emptied(steps: Sequence[Step]) -> str:
    return next((step.name for step in steps if step.series == 0), steps[-1].name)
