"""What a run's files say, for the cards: read once, missing files are missing facts.

Knows the files of a run folder. Phrases nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from voxloom.evaluation.units import PIXEL
from voxloom.files import read_json
from voxloom.report.cards.author import read_author
from voxloom.report.cards.taken import Taken, trainings
from voxloom.runfiles import SUMMARY, CaseFiles, RunFold, held_out_tables, test_in, trained_folds
from voxloom.yamltext import read_text, read_yaml


def are_named(records: Iterable[Mapping[str, Any]]) -> bool:
    """Whether the patient of a case is something else than its id."""
    return any(record.get("patient", record["id"]) != record["id"] for record in records)


@dataclass(frozen=True)
class RunFacts:
    """Facts of a run.

    Parameters
    ----------
    folder : of the run.
    data, environment, summary : its JSON files, empty where they are not there.
    recipe : ``recipe.yaml`` with every value.
    author : answers that only a person can give (``author.yaml``).
    """

    folder: Path
    data: Mapping[str, Any]
    environment: Mapping[str, Any]
    summary: Mapping[str, Any]
    recipe: Mapping[str, Any]
    author: Mapping[str, str]

    @classmethod
    def of(cls, folder: str | Path) -> RunFacts:
        """Read a run folder (BadInput when ``author.yaml`` cannot be used)."""
        root = Path(folder)
        recipe = root / "recipe.yaml"
        return cls(
            root,
            _json(root / "data.json") or {},
            _json(root / "environment.json") or {},
            _json(root / SUMMARY) or {},
            (read_yaml(read_text(recipe), recipe) or {}) if recipe.is_file() else {},
            read_author(root / "author.yaml"),
        )

    @property
    def dataset(self) -> Mapping[str, Any]:
        """The data set's part of ``data.json``."""
        return dict(self.data.get("dataset", {}))

    @property
    def names_patients(self) -> bool:
        """Whether the data set says who was scanned, rather than every case being taken as a patient."""
        by_table = "patient" in dict(self.dataset.get("columns", {})).values()
        return by_table or self.dataset.get("layout") == "BIDS" or are_named(self.cases)

    def patients(self, cases: Iterable[Mapping[str, Any]]) -> set[str]:
        """The patients of records, with their data set where every set numbers its own."""
        separate = (self.recipe.get("data") or {}).get("patients") == "separate"
        return {f"{c.get('origin', '')}/{c['patient']}" if separate else str(c["patient"]) for c in cases}

    @property
    def divided_patients(self) -> list[str]:
        """Patients with cases on both sides of a split: held out in one fold, and trained on in it."""
        sides: dict[str, set[Any]] = {}
        for case in self.cases:
            (patient,) = self.patients([case])
            sides.setdefault(patient, set()).add(case["fold"])
        return sorted(patient for patient, folds in sides.items() if len(folds) > 1)

    @property
    def name(self) -> str:
        """Of the run and its data set."""
        return f"{self.dataset.get('name', 'model')} ({self.folder.resolve().name})"

    @property
    def cases(self) -> list[dict[str, Any]]:
        """Cases of the run: id, patient, fold, files."""
        return list(self.data.get("cases", []))

    @property
    def fingerprint(self) -> Mapping[str, Any]:
        """What was found in the data before training."""
        return dict(self.data.get("fingerprint", {}))

    @property
    def labels(self) -> list[str]:
        """Names of the structures."""
        return [n for n in self.dataset.get("labels", {}) if n not in ("background", "ignore")]

    @property
    def networks(self) -> list[RunFold]:
        """The folds with trained networks."""
        return trained_folds(self.folder)

    @cached_property
    def parameters(self) -> int:
        """Trained numbers of one network; 0 without weights."""
        if not self.networks:
            return 0
        from math import prod

        from safetensors import safe_open

        with safe_open(self.networks[0].weights, "np") as weights:
            return sum(prod(weights.get_slice(key).get_shape()) for key in weights.keys())  # noqa: SIM118 - no mapping

    @property
    def excluded(self) -> list[str]:
        """Cases that the recipe left out."""
        return list((self.recipe.get("data") or {}).get("exclude") or [])

    @property
    def external(self) -> Mapping[str, Mapping[str, Any]]:
        """Figures of the sets that were kept apart while training, by name."""
        return dict(self.summary.get("external") or {})

    def section(self, name: str) -> Mapping[str, Any]:
        """A section of the recipe; empty where it is left out."""
        return dict(self.recipe.get(name) or {})

    @property
    def in_pixels(self) -> bool:
        """Whether the images have no voxel size, so that lengths are in pixels and nothing is anatomical."""
        return self.fingerprint.get("unit") == PIXEL

    @property
    def held_out(self) -> bool:
        """Whether any case was held out."""
        return any(case["fold"] is not None for case in self.cases)

    @cached_property
    def trainings(self) -> list[Taken]:
        """What the training of every fold did."""
        return trainings(self.folder, self.summary, self.section("training"))

    @cached_property
    def figures(self) -> list[tuple[str, Mapping[str, Any], list[Path]]]:
        """Every set with figures: what its cases are in words, its summary, and its tables of scores."""
        summary = self.summary
        sets = [("held-out", summary.get("validation"), held_out_tables(self.folder))]
        for figures in self.external.values():
            sets.append(("external", figures, [CaseFiles(self.folder / figures["folder"]).table]))
        sets.append(("test", summary.get("test"), [test_in(self.folder).table]))
        return [(where, found, tables) for where, found, tables in sets if found]

    def outside(self, name: str) -> list[dict[str, Any]]:
        """The cases of a set that was kept apart."""
        return list((self.data.get("outside") or {}).get(name, []))

    @property
    def test_cases(self) -> list[dict[str, Any]]:
        """Cases of the last evaluation on other data."""
        return list(_json(test_in(self.folder).cases) or [])

    @property
    def stress(self) -> Mapping[str, Any] | None:
        """The last stress test."""
        found: Mapping[str, Any] | None = _json(self.folder / "stress" / "stress.json")
        return found

    @property
    def selection(self) -> list[dict[str, Any]]:
        """Steps that led from an archive to the data set: ``flow.json`` beside the data ("name", "left" each)."""
        root = self.dataset.get("root")
        found = _json(Path(root) / "flow.json") if root else None
        return [step for step in found or [] if isinstance(step, dict) and {"name", "left"} <= set(step)]


def _json(path: Path) -> Any:
    return read_json(path) if path.is_file() else None
