"""Preparation of hippocampus: reading image and label, geometry, 1 mm, z-score, and writing, against nnU-Net and TorchIO.

    python benchmarks/prepare_peers.py [--cases 40]

One process each. nnU-Net's ``DefaultPreprocessor`` with a plan of 1 mm writes its own ``.b2nd`` files; TorchIO (canonical
orientation, resampling to 1 mm, z-score) writes nothing, for it has no cache.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import Any

from pairs import DATA, OURS, PEERS, Side, Work, parser, report, run, table

ROOT = DATA / "hippocampus"


def files(options: argparse.Namespace) -> list[tuple[Path, Path]]:
    """Image and label of each case."""
    images = sorted((ROOT / "imagesTr").glob("*.nii.gz"))[: options.cases]
    return [(path, ROOT / "labelsTr" / path.name) for path in images]


def voxloom(options: argparse.Namespace) -> Work:
    from voxloom.dataset import Dataset
    from voxloom.prepare import Cache, PrepareSettings

    chosen = {path.name.removesuffix(".nii.gz") for path, _ in files(options)}
    data = Dataset(ROOT)
    data = data.subset([case.id for case in data if case.id in chosen])

    def work() -> int:
        folder = tempfile.mkdtemp()
        done = len(Cache(folder).prepare(data, PrepareSettings(spacing=(1.0, 1.0, 1.0)), workers=1))
        shutil.rmtree(folder)
        return done

    return work


def nnunet(options: argparse.Namespace) -> Work:
    from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
    from predict_case import plans_of

    about = {"channel_names": {"0": "MRI"}, "labels": {"background": 0, "a": 1, "b": 2}, "file_ending": ".nii.gz"}
    plans = PlansManager(plans_of([40, 48, 40]))
    configuration, worker = plans.get_configuration("3d_fullres"), DefaultPreprocessor(verbose=False)

    def work() -> int:
        folder = Path(tempfile.mkdtemp())
        for image, label in files(options):
            name = str(folder / image.name.removesuffix(".nii.gz"))
            worker.run_case_save(name, [str(image)], str(label), plans, configuration, about)
        done = len({path.stem.removesuffix("_seg") for path in folder.glob("*.b2nd")})
        shutil.rmtree(folder)
        return done

    return work


def torchio(options: argparse.Namespace) -> Work:
    import torchio as tio

    every = tio.Compose([tio.ToCanonical(), tio.Resample(1.0), tio.ZNormalization()])

    def one(image: Path, label: Path) -> Any:
        subject = tio.Subject(image=tio.ScalarImage(image), label=tio.LabelMap(label))
        return every(subject)["image"].data

    def work() -> int:
        return len([one(image, label) for image, label in files(options)])

    return work


def main() -> None:
    made = parser(__doc__, repeats=3)
    made.add_argument("--cases", type=int, default=40)
    options = made.parse_args()
    rounds = run(
        [Side("Voxloom", OURS, voxloom), Side("nnU-Net", PEERS, nnunet), Side("TorchIO", PEERS, torchio)], options
    )
    if rounds is None:
        return
    assert all(sample.result == options.cases for samples in rounds.values() for sample in samples)
    report(options, table(rounds, "s per case", 1 / options.cases))


if __name__ == "__main__":
    main()
