"""Seconds per hippocampus case, reading and writing included, with the same trained network on every side.

    python benchmarks/predict_case.py --run RUN [--cases 20]

RUN is a trained Voxloom run on hippocampus (3D, instance norm). The peers get its weights as MONAI's ``DynUNet``:
nnU-Net's predictor works in windows of the run's patch with half overlap and no mirroring, MONAI pads the whole volume
to the network's multiple. All write NIfTI; the voxels of each label are counted.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from pairs import DATA, OURS, PEERS, Side, Work, parser, report, run, spread, table


def images(options: argparse.Namespace) -> list[Path]:
    return sorted((DATA / "hippocampus" / "imagesTr").glob("*.nii.gz"))[: options.cases]


def labels_in(out: Path, options: argparse.Namespace) -> list[int]:
    """A short description of what was written: voxels per label."""
    import nibabel as nib

    found = [np.asarray(nib.load(out / path.name).dataobj) for path in images(options)]
    return [int(sum((one == label).sum() for one in found)) for label in (1, 2)]


def voxloom(options: argparse.Namespace) -> Work:
    from voxloom.run.find_scans import find_scans
    from voxloom.tasks.segmentation.predictor import Predictor
    from voxloom.tasks.task import task_named
    from voxloom.verbs.run import Run
    from voxloom.verbs.scan_work import ScanWork, predict_scans

    predictor, out = Predictor.of(Run(options.run), device="cpu"), Path(tempfile.mkdtemp())
    scans = find_scans(images(options), 1)

    def work() -> list[int]:
        list(predict_scans(ScanWork(task_named("segmentation"), out), predictor, scans))
        return labels_in(out, options)

    return work


def twin(options: argparse.Namespace) -> tuple[Any, dict[str, Any]]:
    """The run's network as MONAI's class, and what the run says of itself."""
    import torch
    from monai.networks.nets import DynUNet

    about = json.loads((options.bundle / "about.json").read_text())
    network: Any = DynUNet(**about["config"])
    network.load_state_dict(torch.load(options.bundle / "weights.pt", weights_only=True))
    if max(about["cell"]) > 1:
        network = torch.nn.Sequential(network, shuffle_of(about["cell"]))
    return network.eval(), about


def shuffle_of(cell: list[int]) -> Any:
    """MONAI's pixel shuffle, for a network that computes on cells of several voxels, the same along every axis."""
    import torch
    from monai.networks.utils import pixelshuffle

    class Shuffle(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return pixelshuffle(x, len(cell), cell[0])

    return Shuffle()


def monai(options: argparse.Namespace) -> Work:
    import nibabel as nib
    import torch

    network, about = twin(options)
    out = Path(tempfile.mkdtemp())

    def one(path: Path) -> None:
        source = nib.load(path)
        x = np.asarray(source.dataobj, dtype=np.float32)
        x = (x - x.mean()) / (x.std() + 1e-6)
        pad = [((-n) % m // 2, (-n) % m - (-n) % m // 2) for n, m in zip(x.shape, about["multiple"], strict=True)]
        with torch.inference_mode():
            found = network(torch.from_numpy(np.pad(x, pad))[None, None])[0].argmax(0).numpy().astype(np.uint8)
        inside = tuple(slice(before, before + n) for (before, _), n in zip(pad, x.shape, strict=True))
        nib.save(nib.Nifti1Image(found[inside], source.affine), out / path.name)

    def work() -> list[int]:
        for path in images(options):
            one(path)
        return labels_in(out, options)

    return work


def nnunet(options: argparse.Namespace) -> Work:
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    network, about = twin(options)
    plans = PlansManager(about["plans"])
    predictor = nnUNetPredictor(0.5, True, False, True, torch.device("cpu"), False, False, False)
    predictor.manual_initialization(
        network, plans, plans.get_configuration("3d_fullres"), [network.state_dict()], about["dataset"], "nnUNetTrainer", None
    )  # fmt: skip
    out = Path(tempfile.mkdtemp())

    def work() -> list[int]:
        targets = [str(out / path.name.removesuffix(".nii.gz")) for path in images(options)]
        predictor.predict_from_files_sequential([[str(p)] for p in images(options)], targets, False, True)
        return labels_in(out, options)

    return work


def plans_of(patch: list[int]) -> dict[str, Any]:
    """A plan for nnU-Net with Voxloom's patch and order of axes (i, j, k); 1 mm voxels, z-score, its own resampling functions."""
    resample = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    names = ("data", "seg", "probabilities")
    functions = {f"resampling_fn_{name}": "resample_data_or_seg_to_shape" for name in names}
    options = {f"resampling_fn_{name}_kwargs": {**resample, "is_seg": name == "seg"} for name in names}
    configuration = {
        "data_identifier": "none", "preprocessor_name": "DefaultPreprocessor", "batch_size": 2,
        "patch_size": patch, "median_image_size_in_voxels": patch, "spacing": [1.0, 1.0, 1.0],
        "normalization_schemes": ["ZScoreNormalization"], "use_mask_for_norm": [False], "batch_dice": False,
        "architecture": {"network_class_name": "none", "arch_kwargs": {}, "_kw_requires_import": []},
        **functions, **options,
    }  # fmt: skip
    return {
        "dataset_name": "none", "plans_name": "none", "transpose_forward": [2, 1, 0], "transpose_backward": [2, 1, 0],
        "image_reader_writer": "SimpleITKIO", "label_manager": "LabelManager", "experiment_planner_used": "none",
        "foreground_intensity_properties_per_channel": {"0": {}}, "configurations": {"3d_fullres": configuration},
    }  # fmt: skip


_EXPORT = """
import json, sys, torch
from pathlib import Path
from voxloom.networks import to_monai, monai_config
from voxloom.tasks.segmentation.predictor import Predictor
from voxloom.verbs.run import Run
predictor, out = Predictor.of(Run(sys.argv[1]), device="cpu"), Path(sys.argv[2])
network = predictor.members[0].network
torch.save(to_monai(network).state_dict(), out / "weights.pt")
settings = network.settings
about = {"config": monai_config(settings), "multiple": settings.multiple, "patch": predictor.patch, "cell": settings.strides[0]}
(out / "about.json").write_text(json.dumps(about))
"""


def export(options: argparse.Namespace) -> Path:
    """Weights and settings in a folder that the peers can read."""
    out = Path(tempfile.mkdtemp(prefix="voxloom-bench-"))
    subprocess.run([str(OURS), "-c", _EXPORT, str(options.run), str(out)], check=True)
    about = json.loads((out / "about.json").read_text())
    about["plans"] = plans_of(about["patch"])
    about["dataset"] = {
        "channel_names": {"0": "MRI"},
        "labels": {"background": 0, "a": 1, "b": 2},
        "file_ending": ".nii.gz",
    }
    (out / "about.json").write_text(json.dumps(about))
    return out


def main() -> None:
    made = parser(__doc__, repeats=3)
    made.add_argument("--run", type=Path, required=True)
    made.add_argument("--cases", type=int, default=20)
    made.add_argument("--bundle", type=Path, help=argparse.SUPPRESS)
    options = made.parse_args()
    if options.bundle is None:
        import sys

        options.bundle = export(options)
        sys.argv += ["--bundle", str(options.bundle)]
    rounds = run([Side("Voxloom", OURS, voxloom), Side("nnU-Net", PEERS, nnunet), Side("MONAI", PEERS, monai)], options)
    if rounds is None:
        return
    counts = "; ".join(f"{name} {s[-1].result}" for name, s in rounds.items())
    busy = "; ".join(f"{n} {spread([s.processor / options.cases for s in samples])}" for n, samples in rounds.items())
    text = f"{table(rounds, 's per case', 1 / options.cases)}\n\nProcessor seconds per case: {busy}."
    report(options, f"{text}\n\nVoxels of the two labels in {options.cases} cases: {counts}.")


if __name__ == "__main__":
    main()
