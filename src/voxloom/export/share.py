"""A run made fit to leave the hospital: numbers in the place of names, and nothing that shows or describes a patient.

Knows which files of a run prediction, evaluation and the model card need, and what in them names a case. Hashes of files and
voxels stay: only who has a scan can tell by them that it was used, and they keep a training case from being called a test. The
sketches of scans, which hold some of their voxels, do not stay.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from voxloom.errors import BadInput
from voxloom.export.manifest import Shared, write_manifest
from voxloom.files import atomic_path, read_json, refuse_existing, write_json, write_text
from voxloom.recipe.recipe import Recipe
from voxloom.run.run import Run
from voxloom.tasks.abilities import need
from voxloom.tasks.task import task_of

#: Files that go along, by their patterns in the run; everything else stays (pictures, predictions, logs of a machine, checkpoints).
JSON_FILES = (
    "data.json", "summary.json", "environment.json", "splits_final.json", "plan.json", "quality.json", "calibration.json",
    "fold_*/model.json", "test/cases.json", "external/*/cases.json", "stress/stress.json",
)  # fmt: skip
TABLES = (
    "fold_*/metrics.csv", "fold_*/log.csv", "test/metrics.csv", "external/*/metrics.csv", "structures.csv",
    "test/structures.csv", "quality.csv", "test/quality.csv", "stress/stress.csv",
)  # fmt: skip
WHOLE = ("fold_*/model.safetensors", "author.yaml", "codes.csv")
RECIPES = ("recipe.yaml", "repeat.yaml")
#: Keys of records that describe a patient or a place, or hold voxels of a scan.
PRIVATE = ("attributes", "group", "root", "path", "sources", "sketch", "parts")
#: Recipe keys with ids and paths, and what they become.
EMPTIED: Mapping[str, Any] = {
    "data.exclude": [],
    "data.add": [],
    "data.external": [],
    "data.series": [],
    "folds.file": None,
    "dicom.codes": None,
    "init.run": None,
    "training.callbacks": [],
}
NOT_SHARED = "(the data set was not shared)"


@dataclass(frozen=True)
class Names:
    """Numbers in the place of the ids of cases and patients, and the names of ``places``: files and folders, longest first."""

    cases: Mapping[str, str]
    patients: Mapping[str, str]
    places: tuple[str, ...] = ()

    @classmethod
    def of(cls, run: Run) -> Names:
        """Of all cases that a run's files name; the order of the numbers says nothing about that of the names."""
        records = list(_records(run))
        cases = _numbered((str(r["id"]) for r in records), "case")
        people = _numbered((str(r["patient"]) for r in records if r["patient"] != r["id"]), "patient")
        files = {file for record in records for file in record["files"]}
        roots = (str(run.data["dataset"]["root"]), str(run.folder.resolve()))
        places = {*files, *(Path(file).name for file in files), *roots}
        return cls(cases, people, tuple(sorted(places, key=len, reverse=True)))

    def case(self, name: str) -> str:
        """The number of a case; of one that no record names, "case" alone."""
        return self.cases.get(name, "case")

    def patient(self, name: str) -> str:
        """The number of a patient; where every case is its own patient, that of the case."""
        return self.patients.get(name) or self.cases.get(name, "patient")

    def value(self, text: str) -> str:
        """A text without names: a name becomes its number, alone or in a sentence, and a place "(file)"."""
        if text in self.cases or text in self.patients:
            return self.cases.get(text) or self.patients[text]
        for place in self.places:
            text = text.replace(place, "(file)")
        return self._in_text.sub(lambda found: self.cases.get(found[0]) or self.patients[found[0]], text)

    @cached_property
    def _in_text(self) -> re.Pattern[str]:
        names = sorted({*self.cases, *self.patients}, key=len, reverse=True)
        telling = [name for name in names if len(name) >= 3]  # shorter ones are words and figures of any sentence
        inner = "|".join(map(re.escape, telling)) or r"(?!)"
        return re.compile(rf"(?<![\w.])(?:{inner})(?!\w)")


def _records(run: Run) -> Iterator[Mapping[str, Any]]:
    about = run.data
    yield from about["cases"]
    for records in about.get("outside", {}).values():
        yield from records
    for path in (*run.folder.glob("test/cases.json"), *run.folder.glob("external/*/cases.json")):
        yield from read_json(path)


def _numbered(names: Iterable[str], kind: str) -> dict[str, str]:
    """``kind_0001`` ... in the order of the names' hashes, so that neighbours in an alphabet are none here."""
    mixed = sorted(set(names), key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    return {name: f"{kind}_{number:04d}" for number, name in enumerate(mixed, start=1)}


def zip_run(run: Run, out: Path) -> Path:
    """Write a run without what names or shows patients into ``out`` (.zip), in one folder named after the file.

    Raises
    ------
    BadInput : there is such a file, it does not end with .zip, or the run has no trained fold.
    """
    if out.suffix != ".zip":
        raise BadInput("is not a name of a zip file", out, f"Write -o {out.name}.zip")
    refuse_existing(out, "file")
    need(run, "export --to zip")
    run.folds  # noqa: B018  raises where nothing was trained
    with tempfile.TemporaryDirectory(prefix="voxloom") as folder, atomic_path(out) as archive:
        place = Path(folder) / out.stem
        share_run(run, place, out.stem)
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
            for path in sorted(p for p in place.rglob("*") if p.is_file()):
                packed.write(path, Path(out.stem) / path.relative_to(place))
    return out


def share_run(run: Run, place: Path, name: str) -> Shared:
    """Write into the new folder ``place`` the run that can be shared, with its cards and the hashes of its files."""
    shared = Shared.of(run, name)
    strip_run(run, place)
    write_manifest(place, shared)
    return shared


def strip_run(run: Run, place: Path, *, cards: bool = True) -> None:
    """Write into the new folder ``place`` what predicts and evaluates, without what names or shows patients."""
    names = Names.of(run)
    for pattern in WHOLE:
        for path in run.folder.glob(pattern):
            _target(run, path, place).write_bytes(path.read_bytes())
    for path in (p for name in RECIPES if (p := run.folder / name).is_file()):
        shared_recipe(Recipe.load(path)).save(_target(run, path, place))
    for path in (p for pattern in JSON_FILES for p in run.folder.glob(pattern)):
        found: Any = scrubbed(read_json(path), names)
        if path.name == "plan.json":
            found = [row for row in found if row["choice"] not in (*EMPTIED, "init.weights")]
        if path.name == "data.json":
            found["shared"] = True
            found["dataset"]["root"] = NOT_SHARED
        write_json(_target(run, path, place), found)
    for path in (p for pattern in TABLES for p in run.folder.glob(pattern)):
        write_text(_target(run, path, place), scrubbed_table(path.read_text(encoding="utf-8"), names))
    if cards:
        task_of(run).cards(place)
        shutil.rmtree(place / "figures", ignore_errors=True)


def _target(run: Run, path: Path, place: Path) -> Path:
    target = place / path.relative_to(run.folder)
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


def shared_recipe(recipe: Recipe) -> Recipe:
    """A recipe without ids and paths."""
    changes = dict(EMPTIED)
    if recipe.init.weights is not None and Path(recipe.init.weights).suffix:
        changes["init.weights"] = None
    return recipe.changed(changes)


def scrubbed(value: Any, names: Names) -> Any:
    """JSON values without names, places and what describes patients; the files of a record are numbered."""
    if isinstance(value, dict):
        kept: dict[str, Any] = {}
        for key, entry in value.items():
            if key in PRIVATE:
                continue
            if key == "channel_images":  # hash and sketch of each channel
                kept[key] = [[digest, ""] for digest, _ in entry]
            elif key == "patient" and isinstance(entry, str):
                kept[key] = names.patient(entry)
            elif key == "files" and isinstance(entry, dict):
                kept[key] = {f"file_{n}": digest for n, digest in enumerate(entry.values())}
            else:
                kept[names.cases.get(key) or names.patients.get(key, key)] = scrubbed(entry, names)
        return kept
    if isinstance(value, list):
        return [scrubbed(entry, names) for entry in value]
    return names.value(value) if isinstance(value, str) else value


def scrubbed_table(text: str, names: Names) -> str:
    """A table with numbers under ``case`` and ``patient``."""
    rows = list(csv.reader(io.StringIO(text)))
    if not rows:
        return text
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(rows[0])
    for row in rows[1:]:
        known = {"case": names.case, "patient": names.patient}
        writer.writerow([known.get(column, names.value)(cell) for column, cell in zip(rows[0], row, strict=True)])
    return written.getvalue()
