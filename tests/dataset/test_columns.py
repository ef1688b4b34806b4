"""Columns by their names: patients, splits and ids as they are written, and what is asked or told where two could be meant."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from voxloom.dataset import Dataset, declared_folds, make_folds
from voxloom.dataset.folds import by_patient
from voxloom.dataset.group_folds import by_group
from voxloom.dataset.tables import read_table
from voxloom.dataset.written import as_number
from voxloom.errors import BadInput

Make = Any


@pytest.fixture
def scans(tmp_path: Path, nifti: Make) -> Path:
    for n in range(6):
        nifti(tmp_path / f"i{n}.nii.gz", 5 + n)
        nifti(tmp_path / f"m{n}.nii.gz", 1)
    return tmp_path


def table(root: Path, columns: str, rows: list[str], name: str = "t.csv") -> Path:
    """A table of the scans with further columns."""
    lines = [f"c{n},i{n}.nii.gz,m{n}.nii.gz,{row}" for n, row in enumerate(rows)]
    (root / name).write_text("\n".join([f"case,image,label,{columns}", *lines]) + "\n")
    return root / name


@pytest.mark.parametrize(
    "column",
    [
        "patient",
        "Patient",
        "patient_id",
        "PatientID",
        "Patient ID",
        "subject",
        "Subject_ID",
        "participant_id",
        "sub",
        "PATIENT-NR",
    ],
)
def test_a_patient_is_recognized_by_the_usual_names(scans: Path, column: str) -> None:
    data = Dataset(table(scans, column, ["p1", "p1", "p2", "p2", "p3", "p3"]))
    assert [case.patient for case in data] == ["p1", "p1", "p2", "p2", "p3", "p3"]
    assert data[0].attributes == {}
    assert f"{column}: patient" in data.summary()
    for fold in make_folds(data, 3):
        assert not {data[n].patient for n in fold.train} & {data[n].patient for n in fold.val}


def test_two_columns_that_could_name_the_patient_are_asked_about(scans: Path) -> None:
    path = table(scans, "patient_id,subject", ["p1,s1", "p1,s2", "p2,s3", "p2,s3"])
    with pytest.raises(
        BadInput, match="patient_id and subject could both be the patient.*Rename the right one `patient`"
    ):
        Dataset(path)
    alike = Dataset(table(scans, "patient_id,subject", ["p1,s1", "p1,s1", "p2,s3", "p2,s3"]))
    assert [case.patient for case in alike] == ["p1", "p1", "p2", "p2"]
    named = Dataset(table(scans, "patient,subject", ["p1,s1", "p1,s2", "p2,s3"]))
    assert [case.patient for case in named] == ["p1", "p1", "p2"]
    assert named[1].attributes == {"subject": "s2"}
    assert "subject, which differs, is an attribute" in named.summary()


def test_ids_and_groups_stay_as_they_are_written(scans: Path) -> None:
    ids = ["007", "1.10", "1.1", "12E4", "NA", "nan"]
    lines = [f"{name},i{n}.nii.gz,m{n}.nii.gz,{name},{'NA' if n < 3 else 'EU'},{name}" for n, name in enumerate(ids)]
    (scans / "cases.csv").write_text("case,image,label,patient,group,site\n" + "\n".join(lines) + "\n")
    data = Dataset(scans)
    assert [case.id for case in data] == ids
    assert [case.patient for case in data] == ids
    assert [case.group for case in data] == ["NA"] * 3 + ["EU"] * 3
    assert len(by_patient(data)) == 6
    assert sorted(by_group(data.subset(ids[:4]), "site")) == ["007", "1.1", "1.10", "12E4"]
    assert "'1.10' and '1.1' are different patients" in data.summary()


def test_numbers_remember_how_they_were_written() -> None:
    for text in ("1.10", "12E4", "+5", "1.50"):
        number = as_number(text)
        assert str(number) == f"{number}" == text
        assert str(pickle.loads(pickle.dumps(number))) == text
        assert json.loads(json.dumps([number])) == [float(text)]
    assert type(as_number("1.5")) is float
    assert type(as_number("12")) is int
    assert as_number("007") is as_number("1_0") is as_number("2E400") is as_number("P1") is None


def test_na_is_empty_among_numbers_and_a_word_among_words(text: Make, tmp_path: Path) -> None:
    rows = read_table(text(tmp_path / "t.csv", "case,age,region,dose\na,61,EU,n/a\nb,NA,NA,2\nc,nan,US,\n"))
    assert rows == [
        {"case": "a", "age": 61, "region": "EU"},
        {"case": "b", "region": "NA", "dose": 2},
        {"case": "c", "region": "US"},
    ]


def test_ids_of_a_joined_table_stay_text(make_nnunet: Make) -> None:
    root = make_nnunet({"12E4": 1, "13E4": 1, "1.10": 2, "1.20": 2, "NA": 1})
    rows = "12E4,pA,x\n13E4,pA,y\n1.10,1.1,x\n1.20,1.10,y\nNA,nan,x\n"
    (root / "participants.csv").write_text("participant_id,patient,Group\n" + rows)
    data = Dataset(root)
    assert {c.id: c.patient for c in data} == {"12E4": "pA", "13E4": "pA", "1.10": "1.1", "1.20": "1.10", "NA": "nan"}
    assert data["NA"].group == "x"
    assert not [note for note in data.notes if "no row" in note or "names no case" in note]


def test_a_table_keyed_by_the_patient_or_by_another_column(make_nnunet: Make) -> None:
    root = make_nnunet()
    (root / "participants.csv").write_text("id,Subject,age\n1,a,50\n2,b,60\n3,c,70\n")
    data = Dataset(root)
    assert [case.attributes["age"] for case in data] == [50, 60, 70]
    (root / "participants.csv").write_text("case,participant_id,age\na,p,50\nb,p,60\nc,q,70\n")
    assert [case.patient for case in Dataset(root)] == ["p", "p", "q"]


def test_unnamed_columns_are_kept_and_empty_ones_are_nothing(scans: Path) -> None:
    (scans / "t.csv").write_text(",case,image,label,,\n0,a,i0.nii.gz,m0.nii.gz,,x\n1,b,i1.nii.gz,m1.nii.gz,,y\n")
    data = Dataset(scans / "t.csv")
    assert data[1].attributes == {"column 1": 1, "column 6": "y"}
    assert "column 6: attribute" in data.summary()


@pytest.mark.parametrize("column", ["split", "Split", "set", "subset"])
def test_a_split_is_recognized_and_declares_a_fold(scans: Path, column: str) -> None:
    data = Dataset(table(scans, column, ["train", "Train", "val", "validation", "test", ""]))
    assert [case.split for case in data] == ["train", "train", "val", "val", "test", None]
    folds = declared_folds(data)
    assert folds is not None
    assert [(fold.train, fold.val) for fold in folds] == [(("c0", "c1", "c5"), ("c2", "c3"))]


def test_a_column_that_only_looks_like_a_split_is_told(scans: Path) -> None:
    data = Dataset(table(scans, "phase,cohort", ["train,A", "val,A", "train,B"]))
    assert [case.split for case in data] == [None] * 3
    assert "the column phase looks like a split" in data.summary()


def test_repeated_case_ids_hint_at_the_patient(scans: Path) -> None:
    rows = [f"p1,i{n}.nii.gz,m{n}.nii.gz" for n in range(2)]
    (scans / "t.csv").write_text("id,image,label\n" + "\n".join(rows) + "\n")
    with pytest.raises(BadInput, match=r"used twice: p1.*name the column `patient`"):
        Dataset(scans / "t.csv")


def test_keys_of_a_decathlon_entry_name_patients_and_splits_and_are_told(make_msd: Make) -> None:
    entries = [
        {
            "image": f"imagesTr/{c}.nii.gz",
            "label": f"labelsTr/{c}.nii.gz",
            "PatientID": p,
            "seg2": "labelsTr/a.nii.gz",
            "boxes": [1],
        }
        for c, p in zip("abc", ("p", "p", "q"), strict=True)
    ]
    data = Dataset(make_msd({"training": entries[:2], "validation": entries[2:]}))
    assert [(case.patient, case.split) for case in data][:3] == [("p", "train"), ("p", "train"), ("q", "val")]
    assert "seg2: not used" in data.summary()
    assert "boxes: not read" in data.summary()
    entries[0]["label"] = ["labelsTr/a.nii.gz", "labelsTr/b.nii.gz"]
    with pytest.raises(BadInput, match="not one file"):
        Dataset(make_msd({"training": entries}))


def test_a_patient_column_joins_bids_subjects(tmp_path: Path, nifti: Make) -> None:
    for sub in ("01", "02", "03"):
        nifti(tmp_path / f"sub-{sub}" / "anat" / f"sub-{sub}_T1w.nii.gz", 7)
        nifti(tmp_path / f"sub-{sub}" / "anat" / f"sub-{sub}_dseg.nii.gz", 1)
    rows = "sub-01\tp\t1.10\nsub-02\tp\t1.1\n"
    (tmp_path / "participants.tsv").write_text("participant_id\tpatient\tgroup\n" + rows)
    data = Dataset(tmp_path)
    assert [(c.patient, c.group) for c in data] == [("p", "1.10"), ("p", "1.1"), ("sub-03", None)]
    assert "no row for sub-03" in data.summary()
    assert "participant_id: subject; patient: patient; group: group" in data.summary()


def test_a_column_without_a_value_is_told(scans: Path) -> None:
    rows = [",,", ",,  ", ",,", ",NA,", ",,", ",nan,"]
    data = Dataset(table(scans, "Patient,age,", rows))
    assert data.notes == ("2 columns are empty, and not used: Patient, age",)  # not the column that a last comma makes
    assert "Patient, age" in data.summary()
    alone = Dataset(table(scans, "site,age", [f"A,{'' if n else 7}" for n in range(6)]))
    assert alone.notes == ()
    (scans / "u.csv").write_text("case,note\na,\nb,\n")
    assert read_table(scans / "u.csv").empty == ("note",)


def test_an_empty_column_of_a_typed_or_joined_table_is_told(scans: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = {"case": [f"c{n}" for n in range(6)], "image": [f"i{n}.nii.gz" for n in range(6)]}
    pq.write_table(pa.table({**files, "group": pa.array([None] * 6, pa.string())}), scans / "t.parquet")
    assert Dataset(scans / "t.parquet").notes == ("the column group is empty, and not used",)
    table(scans, "site", ["A"] * 6, "cases.csv")
    assert read_table(scans / "cases.csv").empty == ()


def test_columns_that_look_like_a_choice_of_cases_are_told(scans: Path) -> None:
    data = Dataset(table(scans, "QC-pass,Exclude,use", [f"{n % 2},{'x' if n else ''},yes" for n in range(6)]))
    assert [note for note in data.notes if "leaves no case out" in note and "data.exclude" in note]
    assert any(note.startswith("the column QC-pass is an attribute") for note in data.notes)
    assert not any("column use" in note for note in data.notes)  # the same for all: nothing to choose


def test_further_names_of_patients(scans: Path) -> None:
    for column in ("Hospital Number", "NHS-Number", "pseudonym", "Medical Record Number"):
        data = Dataset(table(scans, column, [f"{n // 2}" for n in range(6)]))
        assert len({case.patient for case in data}) == 3, column


def test_decimal_commas_are_numbers_where_a_comma_keeps_no_cells_apart(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("case;age;code;dose;words\n1,5;40,5;1,5;1,5;1,5\n2;38;A1;1.234,5;2,5,3\n")
    rows = read_table(tmp_path / "t.csv")
    assert rows[0] == {"case": "1,5", "age": 40.5, "code": "1,5", "dose": "1,5", "words": "1,5"}
    assert rows[1]["age"] == 38
    (tmp_path / "u.csv").write_text('case,age\na,"40,5"\n')
    assert read_table(tmp_path / "u.csv")[0]["age"] == "40,5"
