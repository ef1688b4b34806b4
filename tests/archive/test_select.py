"""Selection: what each rule leaves, cases of several channels, and what a data set tells of its patients."""

from __future__ import annotations

import csv
import gzip
import json
import shlex
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import yaml

from voxloom.archive import Archive, SelectOptions, index_archive, load_rules, select
from voxloom.archive.choose import choose
from voxloom.cli.app import run
from voxloom.dataset import Dataset
from voxloom.errors import BadInput
from voxloom.formats import read_label, read_volume
from voxloom.points import Point, write_points
from voxloom.points.table import write_point_table

from .make import AXIAL, SAGITTAL, header, save, uid

TWO_CHANNELS = {
    "keep": [
        {"name": "MR", "where": {"Modality": "MR", "derived_localizer": False}},
        {"name": "whole", "where": {"derived_complete": True}},
        {"name": "once", "where": {"derived_duplicate_of": {"known": False}}},
    ],
    "channels": {
        "T1": {
            "where": {"derived_plane": "sagittal", "derived_weighting": "T1"},
            "prefer": [{"SeriesDescription": "t1_tse_sag"}],
        },
        "T2": {"where": {"derived_plane": "sagittal", "derived_weighting": "T2"}},
    },
}


def rules_file(folder: Path, **values: Any) -> Path:
    path = folder / "rules.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def picked(archive: Path, folder: Path, values: dict[str, Any], **options: Any) -> Any:
    path = rules_file(folder, **values)
    return select(
        archive, load_rules(path), folder / "out", source=path, options=SelectOptions(**{"workers": 1, **options})
    )


@pytest.fixture(scope="module")
def made(phantom: Archive, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("two channels")
    found = picked(phantom.path, folder, TWO_CHANNELS, key=folder / "secret", link=folder / "link.csv")
    return folder, found


def test_counts_after_every_rule(made: tuple[Path, Any]) -> None:
    _, found = made
    assert [(step.name, step.patients, step.studies, step.series) for step in found.steps] == [
        ("all", 39, 40, 241),
        ("MR", 39, 40, 201),
        ("whole", 39, 40, 197),
        ("once", 39, 40, 196),
        ("no text in the pixels", 39, 40, 196),
        ("a series for T1 and T2", 34, 35, 70),
        ("one series per channel and study", 34, 35, 70),
        ("could be read and aligned", 34, 35, 70),
    ]
    assert found.refused == ()


def test_data_set_opens_with_true_geometry(made: tuple[Path, Any], phantom_folder: Path) -> None:
    folder, _ = made
    data = Dataset(folder / "out")
    assert (len(data), data.channels) == (35, ("T1", "T2"))
    assert len({case.patient for case in data}) == 34
    with (folder / "link.csv").open(encoding="utf-8") as f:
        link = {row["case"]: row for row in csv.DictReader(f) if row["channel"] == "T2"}
    name = next(case for case, row in link.items() if row["PatientID"] == "ID020")
    image = data[name].read_image()
    source = read_volume(phantom_folder / "p20" / "t2_tse_sag")
    np.testing.assert_allclose(image.affine, source.affine, atol=1e-4)
    np.testing.assert_array_equal(image.data[1], source.data[0])
    persons = {row["person"] for row in link.values() if row["PatientID"] in ("ID006", "ID007")}
    assert persons == {"ID006"}
    assert {"ID009", "ID010"} <= {row["PatientID"] for row in link.values()}, "members of zip and tar are converted"


def test_nothing_tells_who_it_was(made: tuple[Path, Any], phantom: Archive) -> None:
    folder, _ = made
    told = b"".join(p.read_bytes() for p in (folder / "out").rglob("*") if p.is_file() and p.suffix != ".gz")
    told += "".join(str(p.relative_to(folder)) for p in (folder / "out").rglob("*")).encode()
    studies = [row["StudyInstanceUID"].encode() for row in phantom.query("SELECT StudyInstanceUID FROM studies")]
    for secret in (b"Person", b"ID0", b"Doctor", b'A1"', *studies):
        assert secret not in told, secret
    facts = json.loads(next((folder / "out" / "headers").iterdir()).read_text(encoding="utf-8"))["header"]
    assert facts["PatientIdentityRemoved"] == "YES"
    assert facts["RepetitionTime"] in (600, 4000)


def test_no_date_is_left_where_it_was(made: tuple[Path, Any]) -> None:
    folder, _ = made
    with (folder / "link.csv").open(encoding="utf-8") as f:
        true = {row["case"]: row["StudyDate"] for row in csv.DictReader(f)}
    with (folder / "out" / "cases.csv").open(encoding="utf-8") as f:
        moved = {row["case"]: row["derived_date"] for row in csv.DictReader(f)}
    assert moved.keys() == true.keys()
    for case, date in moved.items():
        days = (datetime.strptime(true[case], "%Y%m%d") - datetime.strptime(date, "%Y%m%d")).days
        assert 30 <= days <= 3652
        for file in (folder / "out" / "headers").glob(f"{case}_*.json"):
            text = file.read_text(encoding="utf-8")
            assert f'"{date}"' in text
            assert f'"{true[case]}"' not in text


def test_key_and_link_are_private(made: tuple[Path, Any]) -> None:
    folder, _ = made
    assert (folder / "secret").stat().st_mode & 0o777 == 0o600
    assert (folder / "link.csv").stat().st_mode & 0o777 == 0o600


def test_same_key_gives_same_names(made: tuple[Path, Any], phantom: Archive, tmp_path: Path) -> None:
    folder, found = made
    few = {**TWO_CHANNELS, "keep": [*TWO_CHANNELS["keep"], {"name": "one", "where": {"PatientID": "ID020"}}]}
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    again = picked(phantom.path, tmp_path / "a", few, key=folder / "secret")
    other = picked(phantom.path, tmp_path / "b", few)
    assert len(again.cases) == 1
    assert set(again.cases) <= set(found.cases)
    assert not set(other.cases) & set(found.cases)


def test_a_selection_shows_what_each_rule_left(made: tuple[Path, Any]) -> None:
    _, selection = made
    lines = repr(selection).splitlines()
    assert lines[0].startswith("rule")
    assert any(line.startswith(f"{len(selection.cases)} cases in ") for line in lines)
    assert selection._repr_html_().startswith("<pre>rule")


def test_questions_are_answered_as_a_table_too(phantom: Archive) -> None:
    sql = "SELECT SeriesInstanceUID, Rows FROM series ORDER BY SeriesInstanceUID"
    frame = phantom.frame(sql)
    assert list(frame.columns) == ["SeriesInstanceUID", "Rows"]
    assert frame.to_dict("records") == phantom.query(sql)
    with pytest.raises(BadInput, match="cannot be answered"):
        phantom.frame("SELECT nothing FROM nowhere")


def test_report_in_three_forms(made: tuple[Path, Any]) -> None:
    folder, found = made
    report = folder / "out" / "selection"
    with (report / "flow.csv").open(encoding="utf-8") as f:
        rows = list(csv.DictReader(f))
    assert [int(row["series"]) for row in rows] == [step.series for step in found.steps]
    assert "once" in (report / "flow.txt").read_text(encoding="utf-8")
    import xml.etree.ElementTree as tree

    texts = [e.text for e in tree.parse(report / "flow.svg").iter() if e.tag.endswith("text")]
    assert "Without: whole" in texts
    assert "4 series out, 0 patients" in texts


def test_best_study_of_each_patient(phantom: Archive, tmp_path: Path) -> None:
    path = rules_file(tmp_path, **{**TWO_CHANNELS, "case": "patient"})
    choice = choose(Archive(phantom.path), load_rules(path), path)
    assert len(choice.cases) == len({case.person for case in choice.cases}) == 34


def test_rules_of_the_paper(tmp_path: Path) -> None:
    good = {
        "SpacingBetweenSlices": 4.4,
        "PatientPosition": "HFS",
        "SliceThickness": 4,
        "step": 4.4,
        "SeriesDescription": "t1 sag",
    }
    variants: dict[str, dict[str, Any]] = {
        "good": {},
        "localizer": {"SeriesDescription": "localizer"},
        "derived": {"ImageType": ["DERIVED", "PRIMARY"]},
        "prone": {"PatientPosition": "HFP"},
        "T2": {"SeriesDescription": "t2 sag", "RepetitionTime": 4000, "EchoTime": 100},
        "axial": {"ImageOrientationPatient": AXIAL},
        "thick": {"SliceThickness": 5},
        "apart": {"step": 6.0},
        "coarse": {"PixelSpacing": [0.9, 0.9]},
        "small": {"PixelSpacing": [0.6, 0.6]},
        "no thickness": {"SliceThickness": None},
    }
    for name, changes in variants.items():
        values = {**good, **changes}
        step = values.pop("step")
        for k in range(3):
            axis = 2 if name == "axial" else 0
            place = [0.0, 0.0, 0.0]
            place[axis] = k * step
            save(
                header(512, **{"ImageOrientationPatient": SAGITTAL, **values}, ImagePositionPatient=place, PatientID=name,
                       StudyInstanceUID=uid(name), SeriesInstanceUID=uid("s", name), SOPInstanceUID=uid(name, k)),
                tmp_path / "in" / name / str(k),
            )  # fmt: skip
    index_archive([tmp_path / "in"], tmp_path / "a.parquet", workers=1)
    steps = choose(Archive(tmp_path / "a.parquet"), load_rules("foramina"), "foramina").steps
    assert [(step.name, step.series) for step in steps] == [
        ("all", 11), ("MR", 11), ("no localizer", 10), ("header complete", 9), ("no slices missing or double", 9),
        ("head or feet first on the back", 8), ("original images", 7), ("sagittal T1", 5), ("slice thickness 3 to 4 mm", 4),
        ("slices 3 to 5 mm apart", 3), ("at least 500 x 500 at 0.7 mm", 2), ("grows by at most 20 %", 1),
        ("no text in the pixels", 1), ("a series for T1", 1), ("one series per channel and study", 1),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def real(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("real") / "archive.parquet"
    folders = ("dicom-trio/gre_field_mapping_2", "dicom-ct-tilt", "dicom-syntaxes")
    index_archive([data_dir / name for name in folders], path, workers=1)
    return path


def test_two_echoes_need_a_choice(real: Path, tmp_path: Path) -> None:
    where = {"SeriesDescription": "gre_field_mapping"}
    with pytest.raises(
        BadInput, match=r"holds 2 values of echo time \(4\.92, 7\.38 ms\).*echo: first, last or a number"
    ):
        picked(real, tmp_path, {"channels": {"M": {"where": where}}})
    assert not (tmp_path / "out").exists()
    with pytest.raises(
        BadInput, match="15 slices are missing"
    ):  # each echo of this copy lacks every second slice or more
        picked(real, tmp_path, {"channels": {"M": {"where": where, "echo": "first"}}})


def test_echo_and_b_value_make_volumes(tmp_path: Path) -> None:
    for n, (echo, b, k) in enumerate((e, b, k) for e, b in ((10, 0), (90, 0), (90, 800)) for k in range(4)):
        values = np.full(64, 100 * echo + b, np.uint16).tobytes()
        slice_ = header(EchoTime=echo, DiffusionBValue=float(b), ImagePositionPatient=[0, 0, 3 * k], PixelData=values,
                        SOPInstanceUID=uid("multi", n), InstanceNumber=n + 1)  # fmt: skip
        save(slice_, tmp_path / "in" / str(n))
    index_archive([tmp_path / "in"], tmp_path / "a.parquet", workers=1)
    row = Archive(tmp_path / "a.parquet").query(
        "SELECT derived_volumes, derived_slices, derived_complete, derived_echo_times, derived_b_values FROM series"
    )[0]
    assert row == {
        "derived_volumes": 3,
        "derived_slices": 4,
        "derived_complete": True,
        "derived_echo_times": [10, 90],
        "derived_b_values": [0, 800],
    }
    channels = {
        "M1": {"echo": "first", "b_value": "lowest"},
        "M2": {"echo": 90, "b_value": 0},
        "high": {"echo": "last", "b_value": "highest"},
    }
    found = picked(tmp_path / "a.parquet", tmp_path, {"channels": channels})
    image = Dataset(tmp_path / "out")[0].read_image()
    assert image.data[:, 0, 0, 0].tolist() == [1000, 9000, 9800]
    about = json.loads((tmp_path / "out" / "headers" / f"{found.cases[0]}_high.json").read_text(encoding="utf-8"))
    assert (about["alignment"], about["header"]["EchoTime"]) == ("same grid", 90)
    bad = {"channels": {"x": {"echo": 55, "b_value": "highest"}}}
    (tmp_path / "again").mkdir()
    with pytest.raises(BadInput, match="no image has echo 55 ms. There are: 10, 90"):
        picked(tmp_path / "a.parquet", tmp_path / "again", bad)


def test_tilted_stack_is_refused_or_straightened(real: Path, tmp_path: Path) -> None:
    wanted = {"channels": {"CT": {"where": {"Modality": "CT"}}}}
    with pytest.raises(BadInput, match=r"gantry was tilted by 18\.5 degrees"):
        picked(real, tmp_path, wanted)
    picked(real, tmp_path, {**wanted, "resample_tilt": True})
    image = Dataset(tmp_path / "out")[0].read_image()
    assert abs(image.spacing[2] - 1.08) < 0.01


def test_slice_in_nine_syntaxes_is_refused(real: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="position of another"):
        picked(real, tmp_path, {"channels": {"EPI": {"where": {"derived_slices": 1}}}})


def test_broken_neighbors_and_odd_objects_cost_one_case_only(tmp_path: Path) -> None:
    """A lost slice refuses its case, an object without a meta group is copied, one without a class is refused."""
    for patient in range(4):
        for k in range(4):
            one = header(
                PatientID=f"SMITH{patient}", PatientName="Smith^Jane", StudyInstanceUID=uid("study", patient),
                SeriesInstanceUID=uid("series", patient), SOPInstanceUID=uid("object", patient, k),
                FrameOfReferenceUID=uid("frame", patient), ImagePositionPatient=[0, 0, 4 * k], InstanceNumber=k + 1,
            )  # fmt: skip
            save(one, tmp_path / "in" / f"SMITH{patient}" / f"jane_smith_{k}.dcm")
    (tmp_path / "in" / "SMITH1" / "jane_smith_3.dcm").write_bytes(b"")
    bare = tmp_path / "in" / "SMITH2" / "jane_smith_2.dcm"
    dataset = pydicom.dcmread(bare)
    dataset.file_meta.clear()
    dataset.save_as(bare, implicit_vr=False, little_endian=True)
    bare.write_bytes(bare.read_bytes().removeprefix(bytes(128) + b"DICM"))
    double = tmp_path / "in" / "SMITH3" / "jane_smith_9.dcm"
    again = pydicom.dcmread(tmp_path / "in" / "SMITH3" / "jane_smith_0.dcm")
    again.SOPInstanceUID = again.file_meta.MediaStorageSOPInstanceUID = uid("again")
    again.save_as(double)
    archive = tmp_path / "archive.parquet"
    index_archive([tmp_path / "in"], archive, workers=1)
    found = picked(archive, tmp_path, {"channels": {"MR": {}}}, keep_dicom=True, link=tmp_path / "link.csv")
    assert len(found.cases) == 2
    reasons = sorted(reason for _, reason in found.refused)
    assert "1 slice lies at the position of another, such as image 1 and image 5" in reasons[1]
    assert "1 broken file lies beside its images, so that slices may be lost" in reasons[0]
    told = "".join(
        p.read_text(errors="replace") for p in (tmp_path / "out").rglob("*") if p.is_file() and p.suffix != ".gz"
    )
    assert "smith" not in (told + "".join(map(str, (p.name for p in (tmp_path / "out").rglob("*"))))).lower()
    copies = list((tmp_path / "out" / "dicom").glob("*/MR"))
    assert [read_volume(folder).shape for folder in copies] == [(8, 8, 4)] * 2
    with (tmp_path / "link.csv").open(encoding="utf-8") as f:
        refused = {row["PatientID"] for row in csv.DictReader(f) if row["refused"]}
    assert refused == {"SMITH1", "SMITH3"}


def test_attached_labels_tell_nothing_but_their_numbers(phantom: Archive, tmp_path: Path) -> None:
    """Comments, names and extensions of NIfTI, NRRD and MetaImage stay behind; numbers and place come along."""
    import nibabel
    import SimpleITK as sitk

    data = np.zeros((8, 8, 6), np.uint8)
    data[2:5, 2:5, 2:4] = 3
    nifti = nibabel.Nifti1Image(data, np.diag([0.7, 0.7, 4.4, 1]))
    for field in ("descrip", "db_name", "aux_file", "intent_name"):
        nifti.header[field] = b"SECRET"
    nifti.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"SECRET"))
    nibabel.save(nifti, tmp_path / "SECRET.nii.gz")
    image = sitk.GetImageFromArray(data.T)
    image.SetMetaData("Comment", "SECRET")
    sitk.WriteImage(image, tmp_path / "SECRET.nrrd")
    sitk.WriteImage(image, tmp_path / "SECRET.mha")
    where = {"PatientID": ["ID020", "ID021", "ID022"], "SeriesDescription": "t1_tse_sag"}
    files = ["SECRET.nii.gz", "SECRET.nrrd", "SECRET.mha"]
    rows = [f"{uid('series', 20 + n, 0)},{file}" for n, file in enumerate(files)]
    (tmp_path / "labels.csv").write_text("\n".join(["SeriesInstanceUID,label", *rows]) + "\n")
    rules = {"keep": [{"name": "three", "where": where}], "channels": {"T1": {}}}
    picked(phantom.path, tmp_path, rules, attach=tmp_path / "labels.csv")
    labels = sorted((tmp_path / "out" / "labels").iterdir())
    assert len(labels) == 3
    for path in labels:
        assert path.name.endswith(".nii.gz")
        assert b"SECRET" not in path.read_bytes()[:100] + gzip.decompress(path.read_bytes())
        np.testing.assert_array_equal(read_label(path).data[0], data)


def test_an_attached_label_that_is_none_is_refused_before_any_case(phantom: Archive, tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").write_bytes(b"nothing")
    (tmp_path / "labels.csv").write_text(f"SeriesInstanceUID,label\n{uid('series', 20, 0)},a.nii.gz\n")
    with pytest.raises(BadInput, match=r"a\.nii\.gz"):
        picked(phantom.path, tmp_path, {"channels": {"T1": {}}}, attach=tmp_path / "labels.csv")
    assert not (tmp_path / "out").exists()


def test_labels_are_attached(phantom: Archive, tmp_path: Path) -> None:
    write_points([Point("L1", "left", (1.0, 2.0, 3.0))], tmp_path / "mine.mrk.json")
    (tmp_path / "marks.csv").write_text(f"SeriesInstanceUID,points,rater\n{uid('series', 20, 0)},mine.mrk.json,A\n")
    few = {
        "keep": [{"name": "one", "where": {"PatientID": "ID020", "SeriesDescription": "t1_tse_sag"}}],
        "channels": {"T1": {}},
    }
    found = picked(phantom.path, tmp_path, few, attach=tmp_path / "marks.csv")
    with (tmp_path / "out" / "cases.csv").open(encoding="utf-8") as f:
        row = next(csv.DictReader(f))
    assert (row["points"], row["rater"]) == (f"points/{found.cases[0]}.csv", "A")
    (point,) = Dataset(tmp_path / "out")[0].read_points()
    assert (point.name, point.side, point.position) == ("L1", "left", (1.0, 2.0, 3.0))
    write_point_table({"a": [point], "b": [point]}, tmp_path / "both.csv")
    (tmp_path / "marks.csv").write_text(f"SeriesInstanceUID,points\n{uid('series', 20, 0)},both.csv\n")
    (tmp_path / "two").mkdir()
    with pytest.raises(BadInput, match="holds points of 2 cases"):
        picked(phantom.path, tmp_path / "two", few, attach=tmp_path / "marks.csv")
    (tmp_path / "marks.csv").write_text("who,points\nx,y\n")
    with pytest.raises(BadInput, match="no column that identifies"):
        picked(phantom.path, tmp_path / "..", few, attach=tmp_path / "marks.csv")


def test_command(phantom: Archive, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = rules_file(tmp_path, **TWO_CHANNELS)
    assert run(["select", str(phantom.path), "-r", str(path), "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "a series for T1 and T2" in shown
    assert sorted(p.name for p in tmp_path.iterdir()) == ["rules.yaml"]
    assert run(["select", str(phantom.path), "-r", str(path), "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["steps"][-1]["series"] == 70
    one = {**TWO_CHANNELS, "keep": [{"name": "one", "where": {"PatientID": "ID020"}}]}
    path = rules_file(tmp_path, **one)
    out = tmp_path / "data set"
    assert run(["select", str(phantom.path), "-r", str(path), "-o", str(out), "--dicom", "--workers", "1"]) == 0
    shown = capsys.readouterr()
    assert f"Next: voxloom inspect {shlex.quote(str(out))}" in shown.out
    assert "No --key was given" in shown.err
    copies = sorted((out / "dicom").rglob("*.dcm"))
    assert len(copies) == 12
    assert read_volume(copies[0].parent).shape == (8, 8, 6)
    assert run(["select", str(phantom.path), "-r", str(path), "-o", str(out)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert run(["select", str(phantom.path), "-r", str(path)]) == 2
    assert run(["select", "none.parquet", "-r", "foramina", "--dry-run"]) == 2
    assert run(["select", str(phantom.path), "-r", "foramen", "--dry-run"]) == 2
    assert "one of: foramina" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"channels": {}}, "channels"),
        ({"chanels": {"T1": {}}, "channels": {"T1": {}}}, "Did you mean channels"),
        ({"channels": {"T/1": {}}}, "file name"),
        ({"channels": {"T1": {}}, "align_to": "T2"}, "no channel"),
        ({"channels": {"a": {}, "b": {}}, "case": "series"}, "one channel"),
        ({"channels": {"T1": {"where": {"plain": "axial"}}}}, "Did you mean derived_plane"),
        ({"channels": {"T1": {"where": {"derived_plane": 3.5, "derived_complete": "yes"}}}}, "holds true or false"),
        ({"channels": {"T1": {"where": {"derived_slices": "many"}}}}, "holds a number"),
        ({"channels": {"T1": {"where": {"derived_plane": {"matches": "("}}}}}, "is broken"),
        ({"channels": {"T1": {"where": {"derived_plane": {"is": "axial"}}}}}, "is not a condition"),
        ({"channels": {"T1": {"where": {"StudyInstanceUID": {"listed_in": "no.csv"}}}}}, "does not exist"),
        ({"channels": {"T1": {"prefer": ["-slicess"]}}}, "Did you mean derived_slices"),
        ({"channels": {"T1": {"where": {"Modality": "PT"}}}}, "no series is left after: a series for T1"),
    ],
)
def test_bad_rules_are_refused(values: dict[str, Any], message: str, phantom: Archive, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=message):
        picked(phantom.path, tmp_path, values)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("where", "count"),
    [
        ({"derived_plane": ["axial", "coronal"]}, 120),
        ({"SeriesDescription": {"matches": "^T1_TSE"}}, 80),
        ({"derived_weighting": {"not": ["T1", "T2"]}, "derived_localizer": False}, 1),
        ({"PatientID": {"listed_in": "ids.csv"}}, 12),
        ({"ImageType": {"contains": ["original"], "lacks": ["LOCALIZER"]}}, 241),
        ({"derived_spacing": {"min": 4, "max": 4.4}, "derived_plane": "coronal"}, 40),
        ({"derived_duplicate_of": {"known": True}}, 1),
    ],
)
def test_every_form_of_condition(where: dict[str, Any], count: int, phantom: Archive, tmp_path: Path) -> None:
    (tmp_path / "ids.csv").write_text("who\nID020\nID021\n")
    path = rules_file(tmp_path, keep=[{"name": "it", "where": where}], channels={"MR": {}})
    assert choose(Archive(phantom.path), load_rules(path), path).steps[1].series == count


def test_monai_rules(phantom: Archive, tmp_path: Path) -> None:
    conditions = {
        "Modality": "(?i)^mr$",
        "ImageOrientationPatient": "Axial",
        "SliceThickness": [3, 5],
        "ImageType": ["ORIGINAL", "!DERIVED"],
    }
    path = tmp_path / "monai.json"
    path.write_text(
        json.dumps({"selections": [{"name": "MR axial!", "conditions": {**conditions, "EchoTime": [50, "<"]}}]})
    )
    choice = choose(Archive(phantom.path), load_rules(path), path)
    assert len(choice.cases) == 40
    assert {case.series["MR_axial"]["derived_weighting"] for case in choice.cases} == {"T1"}
    path.write_text(json.dumps({"selections": [{"conditions": {"Occupation": "x"}}]}))
    with pytest.raises(BadInput, match="no column here"):
        load_rules(path)
