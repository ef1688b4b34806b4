"""Saving what a client drew: a new version in the store and, when it is final and the scan came from a PACS, a SEG there."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from voxloom.errors import VoxloomError
from voxloom.serve.http.monailabel.desk import Desk
from voxloom.serve.http.monailabel.kept import FINAL
from voxloom.serve.http.monailabel.receive import Received
from voxloom.serve.http.people import Person
from voxloom.serve.pacs import PacsFailed, PacsRefused
from voxloom.serve.store import Sent

#: Endings of label files that are read; others are told by what they hold.
_ENDINGS = (".nii.gz", ".nii", ".seg.nrrd", ".nrrd", ".mha", ".bin", ".json")


def save_label(desk: Desk, form: Received, image: str, tag: str, person: Person) -> dict[str, Any]:
    """Keep a label map that was sent.

    Parameters
    ----------
    image : id of the image.
    person : who drew it; where the service does not know people, the client's ``client_id``.

    Returns
    -------
    ids of image and label, the number of the version, and the UID of the SEG that the PACS has got.

    Raises
    ------
    BadInput : see ``KeptLabels.save``; nothing is kept.
    VoxloomError : it is kept, but the PACS did not take it.
    """
    case = desk.images.case(image)
    file = with_ending(form.one("label"))
    author = person.name or str(form.params.get("client_id") or "")[:64]
    version = desk.labels.save(case, file, tag, form.params, author)
    found: dict[str, Any] = {"image": image, "label": case, "tag": tag, "version": version.version}
    if (
        tag == FINAL
        and desk.pacs is not None
        and version.kind == "label"
        and desk.service.store.series(case) is not None
    ):
        with TemporaryDirectory(prefix="voxloom-seg-") as folder:
            seg = desk.labels.seg(case, version, Path(folder) / "final.seg.dcm")
            try:
                found["seg"] = desk.pacs.store([seg])[0]
            except (PacsFailed, PacsRefused) as error:
                raise VoxloomError(f"kept as version {version.version}, but not in the PACS: {error}") from error
    return found


def with_ending(sent: Sent) -> Path:
    """The file under a name that tells its format, by the ending of the client's name."""
    ending = next((e for e in _ENDINGS if sent.name.lower().endswith(e)), ".nii.gz")
    return sent.path.rename(sent.path.with_name("drawn" + ending))
