"""Pseudonyms and clean headers: nothing gets through that is not on the list."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom.datadict import DicomDictionary, keyword_dict
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from voxloom.archive.deidentify import DATES, EMPTY, KEPT, UIDS, age_of, deidentify
from voxloom.archive.identity import Identity, load_key
from voxloom.errors import BadInput

ME = Identity(b"0123456789abcdef0123")
SECRET = {
    "PN": "Secret^Name",
    "LO": "SECRET",
    "SH": "SECRET",
    "LT": "SECRET",
    "ST": "SECRET",
    "UT": "SECRET",
    "CS": "SECRET",
}
#: Written by the profile itself.
WRITTEN = {
    "PatientName", "PatientID", "PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence",
    "LongitudinalTemporalInformationModified",
}  # fmt: skip


def full() -> Dataset:
    """Every text, date, time and UID of the dictionary, and private elements."""
    dataset = Dataset()
    values = {**SECRET, "DA": "20240229", "TM": "101112", "DT": "20240229101112", "UI": "1.2.3.4", "AS": "077Y"}
    for tag, (vr, _, _, retired, keyword) in DicomDictionary.items():
        if keyword and not retired and vr in values and tag >> 16 > 2:
            setattr(dataset, keyword, values[vr])
    dataset.private_block(0x0029, "MAKER", create=True).add_new(1, "LO", "SECRET")
    inner = Dataset()
    inner.PatientName = "Secret^Name"
    dataset.ReferencedStudySequence = [inner]
    return dataset


@pytest.mark.parametrize("dates", ["shift", "remove"])
def test_only_what_is_listed_stays(dates: str) -> None:
    clean = deidentify(full(), Identity(ME.key, dates), "P1")  # type: ignore[arg-type]
    allowed = KEPT | UIDS | DATES | set(EMPTY) | WRITTEN
    assert {element.keyword for element in clean} <= allowed
    for element in clean:
        if element.keyword not in WRITTEN:
            assert "SECRET" not in str(element.value).upper(), element.keyword
            assert "20240229" not in str(element.value)
            assert str(element.value) != "1.2.3.4"
    assert clean.ImageType == "OTHER"
    assert clean.PatientName == ME.patient("P1")
    assert bool(clean.StudyDate) == (dates == "shift")
    codes = [item.CodeValue for item in clean.DeidentificationMethodCodeSequence]
    assert ("113107" in codes) == (dates == "shift")


def test_identifying_elements_of_the_profile_are_not_kept() -> None:
    gone = {
        "InstitutionName", "InstitutionAddress", "ReferringPhysicianName", "PerformingPhysicianName", "OperatorsName",
        "StationName", "StudyDescription", "SeriesDescription", "ProtocolName", "PatientBirthDate", "OtherPatientIDs",
        "PatientAddress", "AccessionNumber", "DeviceSerialNumber", "RequestAttributesSequence", "PatientComments",
        "ImageComments", "EthnicGroup", "Occupation", "PatientWeight", "StudyID", "AcquisitionTime", "StudyTime",
        "ContentTime", "RequestedProcedureDescription", "PerformedProcedureStepID", "ReferencedImageSequence",
        "DerivationDescription", "ContrastBolusAgent", "AdmissionID", "IssuerOfPatientID", "OverlayData",
        "ReceiveCoilName", "DateOfLastCalibration", "MilitaryRank", "AcquisitionDateTime", "FrameReferenceDateTime",
    }  # fmt: skip
    assert not gone & KEPT
    assert all(keyword in keyword_dict for keyword in KEPT | UIDS | DATES | set(EMPTY) | (gone - {"OverlayData"}))


@pytest.mark.parametrize(
    ("keyword", "given", "kept"),
    [
        ("ImageType", ["ORIGINAL", "PRIMARY", "Jane Doe", "MOSAIC"], ["ORIGINAL", "PRIMARY", "MOSAIC"]),
        ("ImageType", ["DERIVED", "SECONDARY", "PROJECTION IMAGE"], ["DERIVED", "SECONDARY", "PROJECTION IMAGE"]),
        ("ImageType", ["Doe", "PRIMARY"], ["OTHER", "PRIMARY"]),
        ("ScanOptions", ["FC", "Doe", "FS"], ["FC", "FS"]),
        ("ScanOptions", "HELICAL MODE", "HELICAL MODE"),
        ("SequenceName", "*tse2d1_9", "*tse2d1_9"),
        ("SequenceName", "*ep_b1000#12", "*ep_b1000#12"),
        ("SequenceName", "fl Doe", None),
        ("FilterType", "WEDGE_3", "WEDGE_3"),
        ("FilterType", "Jane", None),
        ("ConvolutionKernel", ["Br40d", "3"], ["Br40d", "3"]),
        ("ConvolutionKernel", "BONEPLUS", "BONEPLUS"),
        ("ConvolutionKernel", "JD", None),
        ("StackID", "1", "1"),
        ("StackID", "Doe", None),
        ("ImagedNucleus", "1H", "1H"),
        ("ImagedNucleus", "Doe", None),
        ("BodyPartExamined", "LSPINE", "LSPINE"),
        ("BodyPartExamined", "DOE", None),
        ("Manufacturer", "GE MEDICAL SYSTEMS", "GE MEDICAL SYSTEMS"),
        ("Manufacturer", "St. Mary's", None),
        ("ManufacturerModelName", "DISCOVERY MR750w", "DISCOVERY MR750w"),
        ("ManufacturerModelName", "Biograph 64 (Doe)", None),
    ],
)
def test_texts_stay_only_as_known_codes(keyword: str, given: Any, kept: Any) -> None:
    dataset = Dataset()
    setattr(dataset, keyword, given)
    found = deidentify(dataset, ME, "P1").get(keyword)
    assert (list(found) if isinstance(kept, list) else found or None) == kept


def test_texts_within_functional_groups_stay_only_as_known_codes() -> None:
    """Enhanced objects keep the same elements one level deeper, per frame and shared."""
    content, timing, frame, dataset = Dataset(), Dataset(), Dataset(), Dataset()
    content.StackID, content.InStackPositionNumber = "JANE DOE", 3
    content.FrameComments = "JANE DOE"
    timing.EchoTrainLength, timing.GradientOutputType = 8, "JANE DOE"
    frame.FrameContentSequence, frame.MRTimingAndRelatedParametersSequence = [content], [timing]
    dataset.PerFrameFunctionalGroupsSequence, dataset.SharedFunctionalGroupsSequence = [frame], [frame]
    clean = deidentify(dataset, ME, "P1")
    assert "DOE" not in str(clean)
    kept = clean.PerFrameFunctionalGroupsSequence[0]
    assert kept.FrameContentSequence[0].InStackPositionNumber == 3
    assert kept.MRTimingAndRelatedParametersSequence[0].EchoTrainLength == 8


def test_a_number_that_holds_words_goes() -> None:
    dataset = Dataset()
    dataset.KVP = 120
    dataset.add(DataElement(0x00180050, "LO", "Jane Doe"))
    clean = deidentify(dataset, ME, "P1")
    assert clean.KVP == 120
    assert not clean.get("SliceThickness")


def test_the_given_header_is_left_alone() -> None:
    dataset = full()
    before = dataset.to_json()
    deidentify(dataset, ME, "P1")
    assert dataset.to_json() == before


def test_dates_keep_their_distances() -> None:
    a, b = ME.date("20200131", "P1"), ME.date("20200302", "P1")
    import datetime

    days = [datetime.datetime.strptime(str(d), "%Y%m%d") for d in (a, b)]
    assert (days[1] - days[0]).days == 31
    assert ME.date("20200131", "P2") != a
    assert 30 <= ME.days("P1") <= 3652
    assert ME.date("no date", "P1") is None
    assert Identity(ME.key, "remove").date("20200131", "P1") is None


def test_uids_and_names_depend_on_the_key() -> None:
    other = Identity(b"another key of enough bytes")
    assert ME.patient("P1") == Identity(ME.key).patient("P1") != other.patient("P1")
    assert ME.uid("1.2.3") != other.uid("1.2.3")
    assert ME.case("P1", "a") != ME.case("P1", "b")
    assert "0123456789" not in repr(ME)


@pytest.mark.parametrize(
    ("given", "kept"), [("055Y", "055Y"), ("093Y", "090Y"), ("010M", "010M"), ("55", None), (None, None)]
)
def test_ages(given: str | None, kept: str | None) -> None:
    assert age_of(given) == kept


def test_keys(tmp_path: Path) -> None:
    assert load_key(None) != load_key(None)
    made = load_key(tmp_path / "key")
    assert made == load_key(tmp_path / "key")
    (tmp_path / "short").write_bytes(b"abc")
    (tmp_path / "short").chmod(0o600)
    with pytest.raises(BadInput, match="needs 16"):
        load_key(tmp_path / "short")
    (tmp_path / "key").chmod(0o644)
    with pytest.raises(BadInput, match="chmod 600"):
        load_key(tmp_path / "key")
