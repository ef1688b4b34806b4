"""What files say of themselves reaches the user: doubts, units, names of segments, and how masks are numbered."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from voxloom.cli.app import run
from voxloom.dataset import Dataset
from voxloom.dataset.inspect import find_problems, fingerprint, inspect_text, suggest
from voxloom.errors import BadInput
from voxloom.run.sound import refuse_unsound
from voxloom.volume import spacing_of


def pictures(root: Path, values: list[int], *, ending: str = ".png", table: str = "") -> Path:
    """Grey pictures with a square of one value each as mask."""
    random = np.random.default_rng(0)
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for n, value in enumerate(values):
        mask = np.zeros((40, 40), np.uint8)
        mask[8 + n : 24, 10:20] = value
        Image.fromarray(mask).save(root / "masks" / f"c{n}.png")
        Image.fromarray(random.integers(0, 255, (40, 40)).astype(np.uint8)).save(root / "images" / f"c{n}{ending}")
    if table:
        rows = "".join(f"c{n},{table}\n" for n in range(len(values)))
        (root / "participants.csv").write_text(f"case,pixel_spacing\n{rows}")
    return root


def declare(root: Path, labels: dict[str, int]) -> None:
    """Turn the two folders of pictures into nnU-Net raw, which declares its labels."""
    (root / "images").rename(root / "imagesTr")
    (root / "masks").rename(root / "labelsTr")
    for path in list((root / "imagesTr").iterdir()):
        path.rename(path.with_name(f"{path.stem}_0000.png"))
    about = {"channel_names": {"0": "photo"}, "labels": labels, "numTraining": 4, "file_ending": ".png"}
    (root / "dataset.json").write_text(json.dumps(about))


def told(root: Path) -> list[str]:
    dataset = Dataset(root)
    return [str(problem) for problem in find_problems(dataset, fingerprint(dataset, workers=0))]


def test_masks_of_1_and_of_255_are_one_structure_or_two(tmp_path: Path) -> None:
    mixed = pictures(tmp_path / "mixed", [1, 255, 1, 255])
    line = next(t for t in told(mixed) if "not the same one" in t)
    assert line.startswith("error: every label map holds one value besides 0, but not the same one: 1 (2) and 255 (2)")
    with pytest.raises(BadInput, match=r"1 \(2\) and 255 \(2\); they never occur in one file"):
        refuse_unsound(fingerprint(Dataset(mixed), workers=0))
    alike = pictures(tmp_path / "alike", [255] * 4)
    assert not any("not the same one" in t for t in told(alike))
    refuse_unsound(fingerprint(Dataset(alike), workers=0))
    two = pictures(tmp_path / "two", [1, 2, 1, 2])
    assert any(t.startswith("warning: every label map holds one value") for t in told(two))


@pytest.mark.parametrize("declared", [False, True])
def test_interpolated_masks_are_one_error_in_inspect_and_stop_a_training(
    declared: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = pictures(tmp_path / "soft", [255] * 4)
    for path in (root / "masks").iterdir():
        Image.open(path).resize((28, 28), Image.BILINEAR).resize((40, 40), Image.BILINEAR).save(path)
    if declared:
        declare(root, {"background": 0, "lesion": 255})
    (line,) = (t for t in told(root) if "as after interpolation" in t)  # one for the set, whatever each file counts
    assert line.startswith("error: in 4 cases (")
    assert ", such as " in line
    capsys.readouterr()
    assert run(["train", str(root), "-o", str(tmp_path / "run"), "--budget", "1s"]) == 2
    refused = [t for t in capsys.readouterr().err.splitlines() if t.startswith("Error")]
    assert len(refused) == 1
    assert line.removeprefix("error: ").removesuffix(".") in refused[0], "the words of inspect, with all four cases"
    assert not (tmp_path / "run").exists()


def test_pictures_have_no_millimetres(tmp_path: Path) -> None:
    root = pictures(tmp_path / "p", [1] * 4)
    dataset = Dataset(root)
    found = fingerprint(dataset, workers=0)
    text = inspect_text(found, find_problems(dataset, found), suggest(found))
    assert found.unit == found.to_dict()["unit"] == "pixel"
    assert "voxel        1 x 1 x 1 pixels (no voxel size)" in text
    assert "orientation  not known" in text
    for word in (" mm,", " mm\n", "left-right", "median ml", "LPS"):
        assert word not in text.replace("the size in mm", ""), word


@pytest.mark.parametrize(
    ("cell", "spacing"),
    [("0.5", (0.5, 0.5)), ('"0.5, 0.7"', (0.5, 0.7)), ("0.5 x 0.7 mm", (0.5, 0.7)), ("0.7\\0.5", (0.5, 0.7))],
)
def test_a_table_gives_the_pixel_spacing(cell: str, spacing: tuple[float, float], tmp_path: Path) -> None:
    dataset = Dataset(pictures(tmp_path / "p", [1] * 4, table=cell))
    case = dataset["c0"]
    image, label = case.read_image(), case.read_label()
    assert label is not None
    for affine in (image.affine, label.affine, case.header().affine):
        assert spacing_of(affine)[:2] == pytest.approx(spacing)
    assert image.unit == label.unit == "mm"
    found = fingerprint(dataset, workers=0)
    assert found.unit == "mm"
    assert not any(f.problem for f in found.cases)


def test_a_spacing_that_is_none_is_refused(tmp_path: Path) -> None:
    case = Dataset(pictures(tmp_path / "p", [1] * 4, table="small"))["c0"]
    with pytest.raises(BadInput, match="the pixel_spacing of case c0 is 'small'"):
        case.read_image()


def test_cases_with_and_without_a_spacing_do_not_mix(tmp_path: Path) -> None:
    root = pictures(tmp_path / "p", [1] * 4)
    (root / "participants.csv").write_text("case,pixel_spacing\nc0,0.5\nc1,0.5\n")
    assert any("2 cases without a voxel size, while others have one" in t for t in told(root))
    with pytest.raises(BadInput, match="without a voxel size"):
        refuse_unsound(fingerprint(Dataset(root), workers=0))


def test_a_color_picture_among_grey_ones_is_refused(tmp_path: Path) -> None:
    root = pictures(tmp_path / "p", [1] * 4)
    colored = np.random.default_rng(0).integers(0, 255, (40, 40, 3)).astype(np.uint8)
    Image.fromarray(colored).save(root / "images" / "c2.png")
    assert any(
        t.startswith("error: c2") and "has 3 channels, where the data set has the one channel" in t for t in told(root)
    )


def scans(root: Path, offsets: list[float]) -> Path:
    """NIfTI cases whose qform lies so many mm beside the sform."""
    for n, offset in enumerate(offsets):
        random = np.random.default_rng(n)
        data = random.integers(0, 900, (12, 11, 10)).astype(np.int16)
        label = np.zeros(data.shape, np.uint8)
        label[4:8, 4:8, 3:7] = 1
        for kind, voxels in (("imagesTr", data), ("labelsTr", label)):
            image = nibabel.Nifti1Image(voxels, np.eye(4))
            image.set_sform(np.eye(4), 1)
            shifted = np.eye(4)
            shifted[0, 3] = offset
            image.set_qform(shifted, 1)
            (root / kind).mkdir(parents=True, exist_ok=True)
            nibabel.save(image, root / kind / (f"c{n}_0000.nii.gz" if kind == "imagesTr" else f"c{n}.nii.gz"))
    about = {"channel_names": {"0": "MR"}, "labels": {"background": 0, "thing": 1}, "numTraining": len(offsets)}
    (root / "dataset.json").write_text(json.dumps({**about, "file_ending": ".nii.gz"}))
    return root


def test_sform_and_qform_apart_are_told_by_every_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = scans(tmp_path / "s", [0, 86, 0, 17])
    line = next(t for t in told(root) if "sform" in t)
    assert line.startswith("warning: sform and qform differ by 86.0 mm; the sform is used in 2 cases: c1, c3")
    labels = str(root / "labelsTr")
    assert run(["evaluate", "--pred", labels, "--truth", labels, "--json"]) == 0
    screen = capsys.readouterr()
    notes = json.loads(screen.out)["notes"]
    assert [(n["note"], [Path(f).name for f in n["files"]]) for n in notes] == [
        ("sform and qform differ by 86.0 mm; the sform is used", ["c1.nii.gz", "c3.nii.gz"])
    ]
    assert "Note: sform and qform differ by 86.0 mm; the sform is used (" in screen.err


SEGMENTS = "space: LPS\nspace directions: (1,0,0) (0,1,0) (0,0,1)\nspace origin: (0,0,0)\nSegment0_Name:={}\nSegment0_LabelValue:=1\n"


def segmented(root: Path, names: list[str], declared: dict[str, int] | None) -> Path:
    for n, name in enumerate(names):
        for kind in ("imagesTr", "labelsTr"):
            (root / kind).mkdir(parents=True, exist_ok=True)
        data = np.random.default_rng(n).integers(0, 900, (10, 10, 10)).astype("<i2")
        label = np.zeros((10, 10, 10), "<i2")
        label[2:6, 2:6, 2:6] = 1
        for kind, voxels in ((f"imagesTr/c{n}_0000.nrrd", data), (f"labelsTr/c{n}.nrrd", label)):
            head = "NRRD0005\ntype: short\ndimension: 3\nsizes: 10 10 10\nendian: little\nencoding: raw\n"
            (root / kind).write_bytes((head + SEGMENTS.format(name) + "\n").encode() + voxels.tobytes())
    about = {"channel_names": {"0": "MR"}, "labels": {"background": 0, **(declared or {})}, "file_ending": ".nrrd"}
    (root / "dataset.json").write_text(json.dumps({**about, "numTraining": len(names)}))
    return root


def test_segments_are_compared_with_the_declared_labels(tmp_path: Path) -> None:
    swapped = segmented(tmp_path / "a", ["spleen"] * 3, {"liver": 1, "spleen": 2})
    assert any("names label 1 spleen, which is declared as 2" in t and t.startswith("error") for t in told(swapped))
    right = segmented(tmp_path / "b", ["Liver"] * 3, {"liver": 1, "spleen": 2})
    assert not any("names" in t and "label 1" in t for t in told(right))
    torn = segmented(tmp_path / "c", ["liver", "liver", "tumor"], {"liver": 1})
    assert any("label 1 has several names in the label files: liver in c0, c1; tumor in c2" in t for t in told(torn))
