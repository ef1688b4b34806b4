"""One chosen case as files: volumes on one grid, and their headers without identity.

Knows which images of a series make the wanted volume (echo, b-value, copies), members of containers, and the order of
the steps. Runs in worker processes. Does not know the rules that chose the series.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from voxloom.archive.align import Register, align
from voxloom.archive.choose import ChosenCase, Instance
from voxloom.archive.containers import extract
from voxloom.archive.deidentify import deidentify, header_facts
from voxloom.archive.identity import Identity
from voxloom.archive.rules import ChannelRules
from voxloom.errors import BadInput
from voxloom.files import write_json
from voxloom.formats import read_volume, write_volume
from voxloom.formats.dicom.files import syntax_of
from voxloom.volume import Volume

_IDENTIFYING = (
    "PatientName", "PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SeriesDescription",
    "StudyDescription", "InstitutionName", "ReferringPhysicianName", "PatientBirthDate",
)  # fmt: skip
#: Echo times (ms) and b-values (s/mm2) this close are the same.
_ECHO_MS, _B = 0.05, 1.0


@dataclass(frozen=True)
class CaseWork:
    """What a worker needs to make one case.

    Parameters
    ----------
    name, case : of the data set, and what was chosen.
    channels : rules by channel.
    instances : images of the series of each channel.
    reference : channel whose grid counts.
    register, resample_tilt, keep_dicom : see :func:`select`.
    broken : number of broken files beside the images of each channel.
    identity, folder : new names, and where files go.
    """

    name: str
    case: ChosenCase
    channels: Mapping[str, ChannelRules]
    instances: Mapping[str, tuple[Instance, ...]]
    reference: str
    register: Register
    resample_tilt: bool
    keep_dicom: bool
    identity: Identity
    folder: Path
    broken: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Made:
    """A finished case: files by channel relative to the folder, how each was aligned, hash of its voxels."""

    images: Mapping[str, str]
    alignment: Mapping[str, str]
    voxels: Mapping[str, str]


def make_case(work: CaseWork) -> Made:
    """Write the images and headers of one case. Raises BadInput with the channel and the reason when it cannot be made."""
    volumes: dict[str, Volume] = {}
    headers: dict[str, Any] = {}
    for channel, rules in work.channels.items():
        try:
            if count := work.broken.get(channel, 0):
                files = "1 broken file lies" if count == 1 else f"{count} broken files lie"
                what = f"{files} beside its images, so that slices may be lost"
                raise BadInput(what, None, "Copy them again (archive.problems.csv names them), and index again")
            images = pick_images(work.instances[channel], rules)
            with _on_disk(images) as paths:
                headers[channel] = _header(paths[0])
                volumes[channel] = _read(paths, work.resample_tilt)
                if work.keep_dicom:
                    _write_dicom(paths, work, channel)
        except BadInput as error:
            what = without_names(error.what, work.instances[channel], headers.get(channel))
            raise BadInput(f"channel {channel}: {what}", work.name, error.fix) from None
        except (OSError, MemoryError):
            raise
        except Exception as error:  # one odd object must not end the selection of all others
            what = f"channel {channel}: its DICOM objects cannot be worked on ({type(error).__name__})"
            raise BadInput(what, work.name, "Export the series again") from error
    return _write(work, volumes, headers)


def without_names(text: str, images: Sequence[Instance], header: Any = None) -> str:
    """A reason without names of files and folders, which often are names of patients, and without identities.

    Parameters
    ----------
    images : of the series; the n-th of them is called "image n", and their files, members and folders go.
    header : data set whose names, ids and descriptions go as well.
    """
    secrets: dict[str, str] = {}
    for number, image in enumerate(images):
        for path in [Path(p) for p in (image.file, image.member) if p]:
            secrets |= {str(path.parent): "a folder"} if len(path.parent.parts) > 1 else {}
            secrets |= {str(path): f"image {number + 1}", path.name: f"image {number + 1}"}
    for keyword in _IDENTIFYING:
        if header is not None and len(value := str(header.get(keyword) or "").strip()) > 2:
            secrets[value] = f"({keyword})"
    if not secrets:
        return text
    longest = sorted(secrets, key=len, reverse=True)
    pattern = "|".join(rf"(?<!\w){re.escape(secret)}(?!\w)" for secret in longest)
    return re.sub(pattern, lambda found: secrets[found.group()], text)


def pick_images(images: Sequence[Instance], rules: ChannelRules) -> list[Instance]:
    """The images of one volume of a series: one of each copy, one echo, one b-value.

    Raises BadInput when the series holds several echoes or b-values and the rules do not say which.
    """
    known: dict[str, Instance] = {}
    for image in images:
        known.setdefault(image.sop_instance_uid or f"{image.file}/{image.member}", image)
    chosen = list(known.values())
    chosen = _of_one("echo_time", chosen, rules.echo, _ECHO_MS, ("first", "last"), "echo", "ms")
    return _of_one("b_value", chosen, rules.b_value, _B, ("lowest", "highest"), "b_value", "s/mm2")


def _of_one(
    name: str,
    images: list[Instance],
    wanted: str | float | None,
    near: float,
    ends: tuple[str, str],
    key: str,
    unit: str,
) -> list[Instance]:
    """Images with the wanted value of one mark; all of them when there is only one value."""
    values = _values([v for image in images if (v := getattr(image, name)) is not None], near)
    if len(values) < 2 and (wanted is None or isinstance(wanted, str)):
        return images
    listed = ", ".join(f"{value:g}" for value in values)
    if wanted is None:
        raise BadInput(
            f"the series holds {len(values)} values of {name.replace('_', ' ')} ({listed} {unit})", None,
            f"Choose one in the rules of the channel: {key}: {ends[0]}, {ends[1]} or a number",
        )  # fmt: skip
    target = values[0] if wanted == ends[0] else values[-1] if wanted == ends[1] else float(wanted)
    found = [image for image in images if (v := getattr(image, name)) is not None and abs(v - target) <= near]
    if not found:
        raise BadInput(f"no image has {key} {target:g} {unit}", None, f"There are: {listed or 'none'}")
    return found


def _values(numbers: list[float], near: float) -> list[float]:
    found: list[float] = []
    for number in sorted(numbers):
        if not found or number - found[-1] > near:
            found.append(number)
    return found


@contextmanager
def _on_disk(images: Sequence[Instance]) -> Iterator[list[Path]]:
    """Paths of the images; members of containers lie in a folder that goes when the block ends."""
    with tempfile.TemporaryDirectory(prefix="voxloom-") as temporary:
        paths = [Path(image.file) for image in images if image.member is None]
        inside: dict[str, list[str]] = {}
        for image in images:
            if image.member is not None:
                inside.setdefault(image.file, []).append(image.member)
        for number, (file, names) in enumerate(inside.items()):
            for place, (_, content) in enumerate(extract(file, names)):
                path = Path(temporary) / f"{number}-{place:06d}"
                path.write_bytes(content)
                paths.append(path)
        yield paths


def _read(paths: Sequence[Path], resample_tilt: bool) -> Volume:
    try:
        volume = read_volume(paths, resample_tilt=resample_tilt)
    except BadInput as error:
        raise BadInput(error.what, None, error.fix) from None  # the place would name the patient's folder
    if volume.channels != 1:
        raise BadInput(f"holds color images ({volume.channels} channels)", None, "Leave such series out")
    return volume


def _header(path: Path) -> Any:
    import pydicom

    return pydicom.dcmread(path, stop_before_pixels=True, force=True)


def _write(work: CaseWork, volumes: Mapping[str, Volume], headers: Mapping[str, Any]) -> Made:
    reference = volumes[work.reference]
    images, alignment, voxels = {}, {}, {}
    for number, (channel, volume) in enumerate(volumes.items()):
        placed = volume if channel == work.reference else align(volume, reference, register=work.register)
        name = f"images/{work.name}_{number:04d}.nii.gz"
        write_volume(Volume(placed.data, placed.affine), work.folder / name)
        images[channel] = name
        alignment[channel] = str(placed.meta.get("alignment", "reference"))
        voxels[channel] = _voxel_hash(volume)
        facts = header_facts(deidentify(headers[channel], work.identity, work.case.person))
        note = volume.meta.get("geometry_note")
        about = {
            "channel": channel,
            "alignment": alignment[channel],
            "covered": placed.meta.get("covered", 1.0),
            "geometry": note,
        }
        write_json(work.folder / "headers" / f"{work.name}_{channel}.json", {**about, "header": facts})
    return Made(images, alignment, voxels)


def _voxel_hash(volume: Volume) -> str:
    """SHA-256 of the voxels, slice by slice: the order that DICOM series have in memory, so that nothing is copied."""
    return hashlib.sha256(np.ascontiguousarray(volume.data.T).data.cast("B")).hexdigest()


def _write_dicom(paths: Sequence[Path], work: CaseWork, channel: str) -> None:
    """De-identified copies of the images, numbered, in dicom/<case>/<channel>/."""
    import pydicom
    from pydicom.dataset import FileMetaDataset

    folder = work.folder / "dicom" / work.name / channel
    folder.mkdir(parents=True)
    for number, path in enumerate(sorted(paths)):
        dataset = pydicom.dcmread(path, force=True)
        clean = deidentify(dataset, work.identity, work.case.person)
        clean.file_meta = FileMetaDataset()
        clean.file_meta.TransferSyntaxUID = syntax_of(dataset)
        if "SOPClassUID" not in clean or "SOPInstanceUID" not in clean:
            raise BadInput(
                "an object lacks its class or its UID, which a DICOM copy needs", None, "Select without --dicom"
            )
        clean.file_meta.MediaStorageSOPClassUID = clean.SOPClassUID
        clean.file_meta.MediaStorageSOPInstanceUID = clean.SOPInstanceUID
        clean.save_as(folder / f"{number + 1:04d}.dcm", enforce_file_format=True)
