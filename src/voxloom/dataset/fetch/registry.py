"""The public data sets that Voxloom knows by name.

Knows addresses, checksums, licences and how the cases of each set are found after unpacking. A checksum is given only
where the set's own tools or a widely used library publish it; where none is published, ``md5`` is None and the checksum
of the first download is recorded beside the data (trust on first use). Downloads nothing.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field

from voxloom.dataset.fetch.table import TableRule
from voxloom.errors import BadInput


@dataclass(frozen=True)
class Remote:
    """One file to download.

    Parameters
    ----------
    path : where it goes inside the set's folder (an archive: the name it is downloaded under).
    urls : addresses of the same file, tried in order.
    md5 : published MD5, or None where nobody publishes one.
    """

    path: str
    urls: tuple[str, ...]
    md5: str | None = None


@dataclass(frozen=True)
class PublicSet:
    """A public data set.

    Parameters
    ----------
    name, title, modality : how it is asked for, what it is, what was measured.
    files : what is downloaded.
    licence, home, citation : what the user accepts, where it is written, whom to cite.
    cases : number of cases after unpacking, as published.
    archive : whether the files are archives (.tar, .zip) to unpack.
    table : how ``cases.csv`` is made; None where the layout explains itself (MSD, MedMNIST).
    unpacked_limit : refuse to unpack more bytes than this.
    notes : what a user should know before using it.
    """

    name: str
    title: str
    modality: str
    files: tuple[Remote, ...]
    licence: str
    home: str
    citation: str
    cases: int
    archive: bool = False
    table: TableRule | None = None
    unpacked_limit: int = 2 << 30
    notes: tuple[str, ...] = field(default=())

    @property
    def checked(self) -> bool:
        """Whether every file has a published checksum."""
        return all(remote.md5 is not None for remote in self.files)


_MEDMNIST = "https://zenodo.org/records/10519652/files/{}.npz?download=1"
_MEDMNIST_CITATION = "Yang et al. 2023, MedMNIST v2, Scientific Data, doi 10.1038/s41597-022-01721-8"
#: name, what is classified, cases, MD5 at 28 and at 64 voxels (as in the medmnist package).
_MEDMNIST_SETS = (
    (
        "OrganMNIST3D",
        "CT",
        "11 organs in CT",
        1742,
        "a0c5a1ff56af4f155c46d46fbb45a2fe",
        "58a2205adf14a9d0a189cb06dc78bf10",
    ),
    (
        "NoduleMNIST3D",
        "CT",
        "lung nodules in CT, benign or malignant",
        1633,
        "8755a7e9e05a4d9ce80a24c3e7a256f3",
        "c47c5b7d457bf6332200d2ea6d64ecd8",
    ),
    (
        "AdrenalMNIST3D",
        "shape masks",
        "adrenal gland shapes, normal or mass",
        1584,
        "bbd3c5a5576322bc4cdfea780653b1ce",
        "17721accfe9fb005146a47d33bc54b2f",
    ),
    (
        "FractureMNIST3D",
        "CT",
        "3 types of rib fracture in CT",
        1370,
        "6aa7b0143a6b42da40027a9dda61302f",
        "f01d7e6316aedf4210da0da5b7437b42",
    ),
    (
        "VesselMNIST3D",
        "shape masks",
        "brain vessel shapes from MR angiography, healthy or aneurysm",
        1908,
        "b41fd4f7e7e2feedddb201585ecafa1b",
        "6bb274a8846e1097066dcd64e2c4520f",
    ),
    (
        "SynapseMNIST3D",
        "electron microscopy",
        "synapses, inhibitory or excitatory",
        1759,
        "1235b78a3cd6280881dd7850a78eadb6",
        "43bd14ebf3af9d3dd072446fedc14d5e",
    ),
)


def _medmnist(name: str, modality: str, title: str, cases: int, md5: str, size: int) -> PublicSet:
    stem = name.lower() + ("" if size == 28 else f"_{size}")
    return PublicSet(
        name=name if size == 28 else f"{name}_{size}",
        title=f"{title}, {size} x {size} x {size} voxels",
        modality=modality,
        files=(Remote(f"{stem}.npz", (_MEDMNIST.format(stem),), md5),),
        licence="CC BY 4.0",
        home="https://medmnist.com",
        citation=_MEDMNIST_CITATION,
        cases=cases,
        notes=("Split into train, val and test by its makers; without patient numbers",),
    )


_HIPPOCAMPUS = PublicSet(
    name="Task04_Hippocampus",
    title="Anterior and posterior hippocampus in T1-weighted MR, Medical Segmentation Decathlon",
    modality="MR",
    files=(
        Remote(
            "Task04_Hippocampus.tar",
            ("https://msd-for-monai.s3-us-west-2.amazonaws.com/Task04_Hippocampus.tar",),
            "9d24dba78a72977dbd1d2e110310f31b",
        ),
    ),
    licence="CC BY-SA 4.0",
    home="http://medicaldecathlon.com",
    citation="Antonelli et al. 2022, Nature Communications, doi 10.1038/s41467-022-30695-9",
    cases=390,
    archive=True,
    notes=("260 training cases with labels, 130 test cases without", "No patient numbers: folds go by case"),
)

_IXI_TINY = PublicSet(
    name="IXI_Tiny",
    title="Head T1-weighted MR of 566 healthy people at 83 x 44 x 55 voxels, with brain masks",
    modality="MR",
    files=(
        Remote(
            "ixi_tiny.zip",
            ("https://www.dropbox.com/s/ogxjwjxdv5mieah/ixi_tiny.zip?dl=1",),
            "bfb60f4074283d78622760230bfa1f98",
        ),
    ),
    licence="CC BY-SA 3.0",
    home="https://brain-development.org/ixi-dataset/",
    citation="IXI data set, brain-development.org; reduced copy: Perez-Garcia et al. 2021, TorchIO",
    cases=566,
    archive=True,
    table=TableRule(
        image=r"(?P<root>(?:.*/)?)image/(?P<case>(?P<patient>IXI\d+)-(?P<group>[^-/]+)-\d+)_image\.nii(?:\.gz)?",
        label="{root}label/{case}_label{ending}",
    ),
    notes=("The masks are automatic, not manual", "The column group is the hospital (Guys, HH, IOP)"),
)

_KITS_LABELS = "https://raw.githubusercontent.com/neheller/kits19/456b293435b25303bbc7995f094f83a0afdff0eb/data"
_KITS19 = PublicSet(
    name="KiTS19",
    title="Kidneys and kidney tumors in abdominal CT, 210 training cases of the 2019 challenge",
    modality="CT",
    files=tuple(
        remote
        for n in range(210)
        for remote in (
            Remote(
                f"case_{n:05d}/imaging.nii.gz",
                (
                    f"https://huggingface.co/datasets/neheller/KiTS-Challenge-Imaging/resolve/main/images/case_{n:05d}.nii.gz",
                    f"https://kits19.sfo2.digitaloceanspaces.com/master_{n:05d}.nii.gz",
                ),
            ),
            Remote(f"case_{n:05d}/segmentation.nii.gz", (f"{_KITS_LABELS}/case_{n:05d}/segmentation.nii.gz",)),
        )
    ),
    licence="CC BY-NC-SA 4.0 (no commercial use)",
    home="https://kits19.grand-challenge.org",
    citation="Heller et al. 2019, The KiTS19 Challenge Data, arXiv 1904.00445",
    cases=210,
    table=TableRule(image=r"(?P<case>case_\d+)/imaging\.nii\.gz", label="{case}/segmentation.nii.gz"),
    notes=(
        "More than 20 GB in 420 files; an interrupted download goes on where it stopped",
        "No checksum is published: those of the first download are recorded in voxloom-source.json",
    ),
)

_CHU = PublicSet(
    name="Lumbar_MR_Chu2015",
    title="Vertebral bodies T11 to L5 in 23 T2-weighted MR of the lower spine",
    modality="MR",
    files=(Remote("zenodo-22304.zip", ("https://zenodo.org/api/records/22304/files-archive",)),),
    licence="as stated on the record's page (read it before use; Voxloom could not verify it)",
    home="https://zenodo.org/records/22304",
    citation="Chu et al. 2015, PLoS ONE 10(11): e0143327, doi 10.1371/journal.pone.0143327",
    cases=23,
    archive=True,
    table=TableRule(
        image=r"(?P<root>(?:.*/)?)(?P<case>Img_\d+)\.nii(?:\.gz)?",
        label="{root}{case}_Labels{ending}",
    ),
    unpacked_limit=4 << 30,
    notes=(
        "No checksum is published: that of the first download is recorded in voxloom-source.json",
        "All vertebral bodies carry one label value",
    ),
)

#: Every known set, in the order in which it is listed.
PUBLIC_SETS: tuple[PublicSet, ...] = (
    _HIPPOCAMPUS,
    _IXI_TINY,
    *(_medmnist(name, kind, title, n, md5, 28) for name, kind, title, n, md5, _ in _MEDMNIST_SETS),
    *(_medmnist(name, kind, title, n, md5, 64) for name, kind, title, n, _, md5 in _MEDMNIST_SETS),
    _KITS19,
    _CHU,
)


def find_set(name: str) -> PublicSet:
    """The set of this name; case, ``-``, ``_`` and spaces do not matter. BadInput suggests the nearest names."""
    known = {_plain(entry.name): entry for entry in PUBLIC_SETS}
    if _plain(name) in known:
        return known[_plain(name)]
    close = [known[key].name for key in difflib.get_close_matches(_plain(name), known, n=3, cutoff=0.4)]
    hint = f"Did you mean {' or '.join(close)}?" if close else "See the names: voxloom get --list"
    raise BadInput(f"no public data set is called {name!r}", None, hint)


def _plain(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())
