"""Leaks: one scan, or one patient, on two sides that must not meet (training and test, training and pseudo-labels, ...).

Knows what identifies a case: the bytes of its image files, the values of its voxels (so that a copy with other compression,
number type, slope, axes or format is caught), its patient and its id. Does not know which sides there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from voxloom.dataset.case import Case
from voxloom.dataset.dataset import Dataset
from voxloom.dataset.faults import all_or_told
from voxloom.dataset.inspect.intensities import content_hash
from voxloom.dataset.inspect.likeness import Likeness, groups_of, likeness, same_scans
from voxloom.dataset.records import sources_of
from voxloom.digests import file_digests
from voxloom.parallel import map_outcomes

#: What a case can share with another, the strongest first.
Kind = Literal["file", "image", "patient", "id"]
_WORKERS_FROM = 200


@dataclass(frozen=True)
class Identity:
    """What identifies a case.

    Parameters
    ----------
    id, patient : of the case.
    role : what it is in words, e.g. "training case" or "external case"; messages begin with it.
    files : SHA-256 of the files of its image; of an item of an array with its place.
    images : hashes of its voxels: in RAS order, and as stored (which runs of earlier versions kept); empty where nothing is known.
    sketch : of its voxels (``inspect.likeness``), which a copy with other rounding shares too.
    channels : what recognizes single channels of several.
    """

    id: str
    patient: str
    role: str
    files: frozenset[str] = frozenset()
    images: frozenset[str] = frozenset()
    sketch: str = ""
    channels: tuple[Likeness, ...] = ()

    @classmethod
    def of(cls, case: Case, role: str) -> Identity:
        """Of a case; its files and voxels are read."""
        digests = {str(path): digest for path, digest in file_digests(case.image_files).items()}
        files = own_files(digests, sources_of(case)["images"].values())
        volume = case.read_image()
        like = likeness(volume.data, volume.affine)
        hashes = frozenset({like.digest, content_hash(volume.data)} if like.digest else ())
        return cls(case.id, case.patient, role, files, hashes, like.sketch, like.channels)

    @classmethod
    def of_record(cls, record: Mapping[str, Any], role: str) -> Identity:
        """Of a case as ``describe_case`` wrote it into a run's ``data.json``."""
        known = dict(list(record["files"].items())[: record.get("images")])
        files = own_files(known, record.get("sources", {}).get("images", {}).values())
        images = frozenset({record["image"]} if record.get("image") else ())
        parts = tuple(Likeness(*part) for part in record.get("channel_images", ()))
        return cls(record["id"], record["patient"], role, files, images, record.get("sketch", ""), parts)

    def keys(self, image: int) -> list[tuple[Kind, str]]:
        """What another case must not share; ``image`` is its number in ``same_images``."""
        keys: list[tuple[Kind, str]] = [("file", digest) for digest in sorted(self.files)]
        keys += [("image", str(image))] if image >= 0 else []
        return [*keys, ("patient", self.patient), ("id", self.id)]

    @property
    def names_patient(self) -> bool:
        """Whether the patient is known, rather than taken from the id."""
        return self.patient != self.id


def own_files(files: Mapping[str, str], sources: Iterable[Any]) -> frozenset[str]:
    """Hashes of what is a case's own among the files of its image.

    An item of an array shares its file with all others of a collection, so that its place in the file belongs to the hash; masks
    that a box is cut around are not images.

    Parameters
    ----------
    files : hash by path.
    sources : of the channels, as ``sources_of`` writes them.
    """
    masks, places = set(), set()
    for source in sources:
        while isinstance(source, Mapping) and source["kind"] == "FocusedImage":
            masks |= {str(Path(m if isinstance(m, str) else m.get("path", ""))) for m in source["masks"]}
            source = source["source"]
        if isinstance(source, Mapping) and source["kind"] == "NpzItem":
            places.add(f"{source['array']}[{source['index']}]")
    kept = [digest for path, digest in files.items() if path not in masks]
    return frozenset(f"{digest}:{place}" for digest in kept for place in places) if places else frozenset(kept)


@dataclass(frozen=True)
class Leak:
    """Two cases that must not lie on two sides."""

    one: Identity
    other: Identity
    kind: Kind

    @property
    def by_id_alone(self) -> bool:
        """Whether only the ids are equal, of cases whose patients nobody named: a suspicion, not a proof."""
        named = self.one.names_patient and self.other.names_patient
        return self.kind == "id" or (self.kind == "patient" and not named)

    @property
    def sentence(self) -> str:
        """Both cases and what they share."""
        why = {
            "file": "have the same image file",
            "image": f"have {self._image}, saved differently",
            "patient": f"are of one patient ({self.one.patient})",
            "id": "have one id, and no patient tells them apart",
        }[self.kind]
        return f"{self.one.role} {self.one.id} and {self.other.role} {self.other.id} {why}"

    @property
    def _image(self) -> str:
        """What two images have in common."""
        both = (self.one, self.other)
        whole = groups_of([one.images for one in both], [one.sketch for one in both])
        return "the same image" if whole[0] >= 0 else "a channel with the same image"

    @property
    def fix(self) -> str:
        """What the user can do."""
        if not self.by_id_alone:
            return "Remove one of the two, or leave it out with data.exclude"
        return "Remove one of the two; if they are different people, say so in the column patient of participants.csv"


def find_leaks(ones: Iterable[Identity], others: Iterable[Identity]) -> list[Leak]:
    """For each of ``ones`` that is also among ``others``: the strongest thing that they share."""
    asked, kept = list(ones), list(others)
    images = same_images([*asked, *kept])
    known: dict[tuple[Kind, str], Identity] = {}
    for other, image in zip(kept, images[len(asked) :], strict=True):
        for key in other.keys(image):
            known.setdefault(key, other)
    leaks = []
    for one, image in zip(asked, images, strict=False):
        found = next((Leak(one, known[key], key[0]) for key in one.keys(image) if key in known), None)
        if found is not None and not (found.kind == "id" and one.names_patient and found.other.names_patient):
            leaks.append(found)
    return leaks


def same_images(identities: Sequence[Identity]) -> list[int]:
    """A number per case, equal for cases with an image or a channel in common however stored; -1 where nobody else has it."""
    return same_scans([(one.images, one.sketch) for one in identities], [one.channels for one in identities])


def describe_case(case: Case, image: Likeness | None = None) -> dict[str, Any]:
    """What recognizes a case later, as JSON values: id, patient, files with their hashes and the hash of the voxels.

    What the patient table says (numbers and words) is kept too, to describe the patients of a partition. ``images`` is the number
    of image files, which come first; ``sources`` says how they are read (``recorded_case``). The voxels are read unless their
    likeness is given.
    """
    like = image_likeness(case) if image is None else image
    known = {k: v for k, v in case.attributes.items() if isinstance(v, (int, float, str)) and v == v}
    return {
        "id": case.id,
        "patient": case.patient,
        "files": {str(path): digest for path, digest in file_digests(case.source_files).items()},
        "images": len(case.image_files),
        "sources": sources_of(case),
        "image": like.digest,
        "sketch": like.sketch,
        **({"channel_images": [[one.digest, one.sketch] for one in like.channels]} if like.channels else {}),
        **({"origin": case.origin} if case.origin is not None else {}),
        **({"pseudo": True} if case.is_pseudo else {}),
        **({"attributes": known} if known else {}),
    }


def describe_cases(dataset: Dataset, images: Mapping[str, Likeness] | None = None) -> list[dict[str, Any]]:
    """``describe_case`` of every case, in parallel where it pays; ``images`` gives likenesses that are known already."""
    known = images or {}
    items = [(case.id, (case, known.get(case.id))) for case in dataset]
    workers = 0 if len(items) < _WORKERS_FROM else None
    outcomes = map_outcomes(_described, items, step="comparing images", workers=workers)
    return [record for _, record in all_or_told(outcomes)]


def _described(item: tuple[Case, Likeness | None]) -> dict[str, Any]:
    return describe_case(*item)


def image_likeness(case: Case) -> Likeness:
    """What recognizes the image of a case, all channels; empty where every channel has one value, as that recognizes nobody."""
    volume = case.read_image()
    return likeness(volume.data, volume.affine)
