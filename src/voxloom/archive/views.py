"""The tables of an archive as SQL views over the instance table: one each for series, studies and patients.

Knows geometry (plane, slices, gaps), several volumes in one series and double series. The words and times that tell a
weighting or a body part come from ``meaning``. The SQL runs in DuckDB.
"""

from __future__ import annotations

from pathlib import Path

from voxloom.archive import meaning
from voxloom.archive.database import quoted
from voxloom.archive.sources import rows_of

#: Slices closer than this (mm) lie at one position.
SAME_POSITION_MM = 0.02
#: Components of ImageOrientationPatient that differ by less are one direction.
SAME_DIRECTION = 0.01
#: A stack that leans by less (degrees), or by less than a quarter pixel in all, is upright.
TILT_DEGREES = 0.1
_FOLDER = r"regexp_replace(concat_ws('/', file, member), '[/\\][^/\\]*$', '')"


def instances_sql(archive: Path) -> str:
    """View ``instances``: the Parquet file, or the files of a folder that was cut (``partition``).

    A missing UID or patient id is replaced by one made from the folder; pixels of detectors have the size of ImagerPixelSpacing.
    """
    cut = archive.is_dir()
    number = "row_number" if cut else "file_row_number"
    kept = "* EXCLUDE (row_number)" if cut else "*"
    own = f"'no-uid:' || {_FOLDER} || coalesce('#' || FrameOfReferenceUID, '')"
    size = "coalesce(PixelSpacing, ImagerPixelSpacing)"
    return f"""
CREATE OR REPLACE VIEW instances AS
SELECT {kept} REPLACE (
    coalesce(SeriesInstanceUID, {own}) AS SeriesInstanceUID,
    coalesce(StudyInstanceUID, {own}) AS StudyInstanceUID,
    coalesce(PatientID, 'no-id:' || coalesce(StudyInstanceUID, {_FOLDER})) AS PatientID),
    {size}[1] AS derived_pixel_row, {size}[2] AS derived_pixel_column, {number} AS number
FROM {rows_of(archive)}"""


#: Columns whose value is that of the first instance of the series.
FIRST = (
    "StudyInstanceUID", "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "PatientAge", "StudyDate",
    "StudyTime", "StudyDescription", "SeriesNumber", "SeriesDescription", "ProtocolName", "Modality",
    "Manufacturer", "ManufacturerModelName", "InstitutionName", "SOPClassUID", "TransferSyntaxUID", "ImageType", "BodyPartExamined",
    "PatientPosition", "ContrastBolusAgent", "ScanningSequence", "SequenceVariant", "ScanOptions", "MRAcquisitionType",
    "SequenceName", "ConvolutionKernel", "KVP", "GantryDetectorTilt", "EchoTrainLength", "FlipAngle", "InversionTime",
    "RepetitionTime", "MagneticFieldStrength", "SliceThickness", "SpacingBetweenSlices", "Rows", "Columns", "PixelSpacing",
    "derived_pixel_row", "derived_pixel_column", "PhotometricInterpretation", "ImageOrientationPatient",
    "FrameOfReferenceUID", "BurnedInAnnotation", "ImagesInAcquisition", "AcquisitionDate", "AcquisitionTime",
    "ContentTime",
)  # fmt: skip

#: Direction of the rows, of the columns, and the place of the first pixel, by axis.
_ROW = {axis: f"ImageOrientationPatient[{n}]" for axis, n in zip("xyz", (1, 2, 3), strict=True)}
_COLUMN = {axis: f"ImageOrientationPatient[{n}]" for axis, n in zip("xyz", (4, 5, 6), strict=True)}
_POSITION = {axis: f"ImagePositionPatient[{n}]" for axis, n in zip("xyz", (1, 2, 3), strict=True)}
_NORMAL = {
    axis: f"{_ROW[a]} * {_COLUMN[b]} - {_ROW[b]} * {_COLUMN[a]}"
    for axis, a, b in (("x", "y", "z"), ("y", "z", "x"), ("z", "x", "y"))
}
_LOCATION = " + ".join(f"{_POSITION[axis]} * ({value})" for axis, value in _NORMAL.items())
#: Values of the lists are taken out once: each use of an element of a list costs as much as a column.
_TAKEN = {
    **{f"row_{axis}": part for axis, part in _ROW.items()},
    **{f"column_{axis}": part for axis, part in _COLUMN.items()},
    **{f"position_{axis}": part for axis, part in _POSITION.items()},
}
_PLACED = f"""
placed AS (
    SELECT *, {", ".join(f"{part} AS {name}" for name, part in _TAKEN.items())}, {_LOCATION} AS location FROM instances
)"""
_PLACE = "{'x': position_x, 'y': position_y, 'z': position_z}"
_TURN = " OR ".join(
    f"max({part}) - min({part}) > {SAME_DIRECTION}" for part in _TAKEN if not part.startswith("position")
)

_GROUPED = f"""
grouped AS (
    SELECT SeriesInstanceUID,
        min(number) AS first_number,
        count(*) AS instances,
        CAST(sum(coalesce(NumberOfFrames, 1)) AS BIGINT) AS images,
        coalesce(max(NumberOfFrames) > 1, false) AS multi_frame,
        list(hash(coalesce(SOPInstanceUID, concat_ws('/', file, member)))) AS objects,
        list_concat(list(location) FILTER (derived_frame_locations IS NULL AND location IS NOT NULL),
            flatten(list(derived_frame_locations) FILTER (derived_frame_locations IS NOT NULL))) AS places,
        list_sort(list_distinct(list(round(EchoTime, 2)) FILTER (EchoTime > 0))) AS echo_times,
        list_sort(list_distinct(list(derived_b_value) FILTER (derived_b_value IS NOT NULL))) AS b_values,
        list_unique(list(TemporalPositionIdentifier) FILTER (TemporalPositionIdentifier IS NOT NULL)) AS time_points,
        list_unique(list(AcquisitionNumber) FILTER (AcquisitionNumber IS NOT NULL)) AS acquisitions,
        list_unique(list(hash(round(EchoTime, 2), derived_b_value, TemporalPositionIdentifier, ImageType))) AS marks,
        min(InstanceNumber) AS first_instance, max(InstanceNumber) AS last_instance,
        coalesce(max(Rows) > min(Rows) OR max(Columns) > min(Columns), false) AS mixed_sizes,
        coalesce({_TURN}, false) AS turned,
        min(SliceThickness) AS thickness_min, max(SliceThickness) AS thickness_max,
        arg_min({_PLACE}, location) AS lowest, arg_max({_PLACE}, location) AS highest,
        min(AcquisitionTime) AS begin_time, min(ContentTime) AS content_begin,
        sum(file_size) AS bytes
    FROM placed GROUP BY SeriesInstanceUID
)"""

_JOINED = f"""
joined AS (
    SELECT g.*, {", ".join("f." + name for name in FIRST)}
    FROM grouped g JOIN instances f ON f.number = g.first_number
)"""

_MEASURED = f"""
measured AS (
    SELECT *,
        list_unique(objects) AS objects_known,
        CAST(images * objects_known / instances AS BIGINT) AS own_images,
        list_sort(places) AS sorted_places,
        list_filter([sorted_places[i + 1] - sorted_places[i] FOR i IN range(1, len(sorted_places))],
            lambda gap: gap > {SAME_POSITION_MM}) AS gaps,
        CASE WHEN len(places) = images THEN len(gaps) + 1 END AS positions,
        nullif(list_aggregate(gaps, 'median'), 0) AS step,
        {_NORMAL["x"]} AS normal_x, {_NORMAL["y"]} AS normal_y, {_NORMAL["z"]} AS normal_z,
        greatest(abs(normal_x), abs(normal_y), abs(normal_z)) AS upright,
        sqrt((highest.x - lowest.x) ** 2 + (highest.y - lowest.y) ** 2 + (highest.z - lowest.z) ** 2) AS way,
        list_sum(gaps) AS height,
        CASE WHEN way > 0 AND NOT turned THEN degrees(acos(least(1, height / way))) END AS leaning,
        CASE WHEN leaning > {TILT_DEGREES} AND sqrt(greatest(way * way - height * height, 0)) > 0.25 * derived_pixel_row
            THEN round(leaning, 1) ELSE 0 END AS tilt,
        coalesce(echo_times[1], 0) AS EchoTime,
        {meaning.plain_words("coalesce(SeriesDescription, ProtocolName)")} AS words,
        {meaning.plain_words("SeriesDescription", "ProtocolName", "StudyDescription")} AS all_words
    FROM joined
)"""

_REFUTED = " OR ".join(f"(said = {quoted(name)} AND ({times}))" for name, times in meaning.WORDS_REFUTED)
_TOLD = f"""
told AS (
    SELECT *,
        CASE WHEN upright IS NULL OR upright < 0.5 OR upright > 1.01 THEN NULL WHEN turned THEN 'mixed'
            WHEN upright = abs(normal_x) THEN 'sagittal' WHEN upright = abs(normal_y) THEN 'coronal' ELSE 'axial' END AS plane,
        CASE WHEN plane IS NOT NULL AND NOT turned THEN round(degrees(acos(least(upright, 1))), 1) END AS oblique_degrees,
        coalesce(list_sum([round(gap / step) - 1 FOR gap IN gaps IF abs(gap - round(gap / step) * step)
            <= 0.1 * least(1, step) AND gap > 1.5 * step]), 0) AS missing,
        coalesce(len(list_filter(gaps, lambda gap: abs(gap - greatest(1, round(gap / step)) * step) > 0.1 * least(1, step))) > 0,
            false) AS uneven,
        CASE WHEN positions IS NULL THEN 1 WHEN own_images = positions THEN greatest(len(echo_times), 1)
            WHEN own_images = positions * marks THEN marks
            WHEN own_images = positions * time_points THEN time_points WHEN own_images = positions * acquisitions THEN acquisitions
            ELSE 1 END AS volumes,
        {meaning.by_words("words", meaning.WEIGHTING_WORDS)} AS said,
        CASE WHEN Modality = 'MR' AND EchoTime > 0 THEN {meaning.by_condition(meaning.WEIGHTING_TIMES)} END AS timed,
        coalesce(Modality = 'MR' AND EchoTime > 0 AND ({_REFUTED}), false) AS refuted,
        ImageType LIKE 'DERIVED%' AS is_derived
    FROM measured
)"""

_SPECIAL = "('ADC', 'FA', 'field map', 'SWI', 'angiography', 'perfusion', 'BOLD', 'DWI')"
_WEIGHTED = f"""
weighted AS (
    SELECT *,
        CASE WHEN Modality IS DISTINCT FROM 'MR' THEN NULL
            WHEN contains(ImageType, '\\ADC') THEN {{'is': 'ADC', 'why': 'ImageType', 'sure': 0.95}}
            WHEN list_max(b_values) > 0 AND said IS DISTINCT FROM 'ADC' AND said IS DISTINCT FROM 'FA'
                THEN {{'is': 'DWI', 'why': 'b-value ' || list_max(b_values), 'sure': 0.95}}
            WHEN said IN {_SPECIAL} THEN {{'is': said, 'why': 'description', 'sure': 0.8}}
            WHEN said = timed THEN {{'is': said, 'why': 'description and times', 'sure': 0.95}}
            WHEN said IN ('T2', 'T1') AND timed IN ('FLAIR', 'STIR') THEN
                {{'is': timed, 'why': 'times; description says ' || said, 'sure': 0.7}}
            WHEN said IN ('STIR', 'FLAIR') AND timed = 'T2' AND coalesce(InversionTime, 0) = 0 THEN
                {{'is': said, 'why': 'description', 'sure': 0.6}}
            WHEN said IS NOT NULL AND timed IS NULL AND NOT refuted THEN {{'is': said, 'why': 'description', 'sure': 0.6}}
            WHEN said IS NULL AND timed IS NOT NULL AND is_derived THEN NULL
            WHEN said IS NULL AND timed IS NOT NULL THEN {{'is': timed, 'why': 'times', 'sure': 0.7}}
            WHEN said IS NOT NULL THEN {{'is': CAST(NULL AS VARCHAR), 'why': 'description says ' || said || ', times say '
                || coalesce(timed, 'otherwise (TR ' || coalesce(CAST(round(RepetitionTime) AS INTEGER) || '', 'unknown')
                || ', TE ' || CAST(round(EchoTime) AS INTEGER) || ' ms)'), 'sure': CAST(NULL AS DECIMAL(3, 2))}}
        END AS weight
    FROM told
)"""

_DUPLICATES = """CASE WHEN positions IS NULL THEN NULL WHEN own_images IN (positions, positions * volumes) THEN 0
            ELSE own_images - positions END"""
_HAS_SIZE = "derived_pixel_row > 0 AND derived_pixel_column > 0"
_LABELED = f"""
labeled AS (
    SELECT *,
        CASE WHEN contains(ImageType, 'LOCALIZER') THEN 'ImageType'
            WHEN {meaning.matches("words", meaning.LOCALIZER_WORDS)} THEN 'description'
            WHEN turned AND NOT multi_frame THEN 'images of several directions' END AS localizer_evidence,
        CASE WHEN is_derived THEN 'ImageType DERIVED'
            WHEN regexp_matches(ImageType, {quoted(meaning.DERIVED_TYPES)}) THEN 'ImageType ' || ImageType END AS derived_evidence,
        starts_with(SOPClassUID, {quoted(meaning.SECONDARY_CAPTURE)}) AS secondary_capture,
        CASE WHEN ContrastBolusAgent IS NOT NULL AND upper(ContrastBolusAgent) NOT IN ('NO', 'NONE', 'N', '0')
                THEN {{'is': true, 'why': 'ContrastBolusAgent'}}
            WHEN {meaning.matches("words", meaning.CONTRAST_NO)} THEN {{'is': false, 'why': 'description'}}
            WHEN {meaning.matches("words", meaning.CONTRAST_YES)} THEN {{'is': true, 'why': 'description'}} END AS contrasted,
        {meaning.by_words(meaning.plain_words("BodyPartExamined"), meaning.BODY_PARTS)} AS body_said,
        {meaning.by_words("all_words", meaning.BODY_PARTS)} AS body_named,
        {_DUPLICATES} AS duplicates,
        md5(concat_ws('|', list_transform(sorted_places, lambda place: round(place, 1)), Rows, Columns,
            round(derived_pixel_row, 4), round(normal_x, 2), round(normal_y, 2), round(normal_z, 2), echo_times, b_values,
            RepetitionTime, ImageType, coalesce(
                nullif(concat_ws('|', AcquisitionDate, begin_time, content_begin), coalesce(AcquisitionDate, '')),
                concat_ws('|', PatientID, StudyDate, StudyTime, SeriesNumber, SeriesDescription)))) AS likeness
    FROM weighted
)"""

_FAULTS = {
    "mixed_sizes": "'images of several sizes'",
    "turned": "'images of several directions'",
    "positions IS NULL": "'images without a position'",
    "contains(ImageType, '\\MOSAIC')": "'mosaics: many slices in one picture, which are not counted here'",
    "len(echo_times) > 1 AND own_images < positions * len(echo_times)": "'echoes at different positions'",
    "missing > 0": "CAST(missing AS BIGINT) || if(missing = 1, ' slice missing', ' slices missing')",
    "uneven": "'unevenly spaced slices'",
    "tilt > 0": "'slices lean by ' || tilt || ' degrees (gantry tilt)'",
    "duplicates > 0": "duplicates || if(duplicates = 1, ' image', ' images') || ' at the position of another'",
}
_FINAL = f"""
SELECT SeriesInstanceUID, StudyInstanceUID, PatientID, PatientName, PatientBirthDate, PatientSex, PatientAge,
    StudyDate, StudyTime, StudyDescription, SeriesNumber, SeriesDescription, ProtocolName, Modality,
    instances, images, positions AS derived_slices, CAST(volumes AS BIGINT) AS derived_volumes, multi_frame AS derived_multi_frame,
    echo_times AS derived_echo_times, len(echo_times) > 1 AS derived_multi_echo, b_values AS derived_b_values,
    plane AS derived_plane, oblique_degrees AS derived_oblique_degrees,
    weight.is AS derived_weighting, weight.why AS derived_weighting_evidence,
    CAST(weight.sure AS DOUBLE) AS derived_weighting_confidence,
    localizer_evidence IS NOT NULL AS derived_localizer, localizer_evidence AS derived_localizer_evidence,
    derived_evidence IS NOT NULL AS derived_derived, derived_evidence AS derived_derived_evidence,
    coalesce(secondary_capture, false) AS derived_secondary_capture,
    contrasted.is AS derived_contrast, contrasted.why AS derived_contrast_evidence,
    coalesce(body_said, lower(CASE WHEN body_named IS NULL THEN BodyPartExamined END), body_named) AS derived_body_part,
    CASE WHEN body_said IS NOT NULL THEN 'BodyPartExamined' WHEN body_named IS NOT NULL THEN 'description'
        WHEN BodyPartExamined IS NOT NULL THEN 'BodyPartExamined' END AS derived_body_part_evidence,
    len(list_filter([{", ".join(f"CASE WHEN {test} THEN {text} END" for test, text in _FAULTS.items())}],
        lambda fault: fault IS NOT NULL)) = 0 AS derived_complete,
    array_to_string(list_filter([{", ".join(f"CASE WHEN {test} THEN {text} END" for test, text in _FAULTS.items())}],
        lambda fault: fault IS NOT NULL), '; ') AS derived_faults,
    CAST(missing AS BIGINT) AS derived_missing_slices, uneven AS derived_uneven, duplicates AS derived_duplicates,
    instances - objects_known AS derived_copies,
    last_instance - first_instance + 1 - instances AS derived_instance_number_gaps, ImagesInAcquisition,
    SliceThickness, SpacingBetweenSlices, round(step, 3) AS derived_spacing,
    round(list_min(gaps), 3) AS derived_spacing_min, round(list_max(gaps), 3) AS derived_spacing_max,
    coalesce(abs(step - abs(nullif(SpacingBetweenSlices, 0))) > 0.1, false) AS derived_spacing_header_wrong,
    Rows, Columns, PixelSpacing, derived_pixel_row, derived_pixel_column, mixed_sizes AS derived_mixed_sizes,
    CASE WHEN {_HAS_SIZE} THEN round(Rows * derived_pixel_row, 1) END AS derived_field_of_view_rows,
    CASE WHEN {_HAS_SIZE} THEN round(Columns * derived_pixel_column, 1) END AS derived_field_of_view_columns,
    coalesce({meaning.by_words(meaning.plain_words("Manufacturer"), meaning.VENDORS)}, Manufacturer) AS derived_vendor,
    Manufacturer, ManufacturerModelName, InstitutionName, MagneticFieldStrength,
    round(CASE WHEN MagneticFieldStrength > 100 THEN MagneticFieldStrength / 10000 ELSE MagneticFieldStrength END, 2)
        AS derived_field_strength,
    tilt AS derived_tilt_degrees, PatientPosition, ImageType, ScanningSequence, SequenceVariant,
    ScanOptions, MRAcquisitionType, SequenceName, ConvolutionKernel,
    KVP, GantryDetectorTilt, RepetitionTime, nullif(EchoTime, 0) AS EchoTime, InversionTime, FlipAngle, EchoTrainLength,
    ContrastBolusAgent, BodyPartExamined, PhotometricInterpretation, SOPClassUID, TransferSyntaxUID, FrameOfReferenceUID,
    CASE WHEN upper(BurnedInAnnotation) = 'YES' THEN 'yes' WHEN upper(BurnedInAnnotation) = 'NO' THEN 'no'
        WHEN secondary_capture OR Modality IN {meaning.BURNED_IN_SUSPECTS} THEN 'suspected' ELSE 'unknown' END AS derived_burned_in,
    nullif(first_value(SeriesInstanceUID) OVER (PARTITION BY likeness, coalesce(positions, -first_number)
        ORDER BY SeriesInstanceUID), SeriesInstanceUID) AS derived_duplicate_of,
    CAST(bytes AS BIGINT) AS bytes
FROM labeled"""

#: The query behind the view ``series``.
SERIES_QUERY = f"WITH {','.join((_PLACED, _GROUPED, _JOINED, _MEASURED, _TOLD, _WEIGHTED, _LABELED))}{_FINAL}"

STUDIES_SQL = """
CREATE OR REPLACE VIEW studies AS
SELECT StudyInstanceUID, any_value(PatientID) AS PatientID, any_value(StudyDate) AS StudyDate,
    any_value(StudyDescription) AS StudyDescription, list_sort(list_distinct(list(Modality))) AS derived_modalities,
    count(*) AS series, CAST(sum(instances) AS BIGINT) AS instances,
    count(DISTINCT PatientID) > 1 AS derived_several_patients
FROM series GROUP BY StudyInstanceUID"""

#: Two ids are possibly one person: same name (letters and digits) and birth date. More than 10 ids share no person's name, but a
#: word such as ANONYMOUS.
PATIENTS_SQL = """
CREATE OR REPLACE VIEW patients AS
WITH each AS (
    SELECT PatientID, any_value(PatientName) AS PatientName, any_value(PatientBirthDate) AS PatientBirthDate,
        any_value(PatientSex) AS PatientSex,
        count(DISTINCT regexp_replace(lower(PatientName), '[^\\pL\\pN]', '', 'g')) > 1 AS derived_several_names,
        count(DISTINCT StudyInstanceUID) AS studies, count(*) AS series, CAST(sum(instances) AS BIGINT) AS instances
    FROM series GROUP BY PatientID),
named AS (SELECT *, nullif(regexp_replace(lower(PatientName), '[^\\pL\\pN]', '', 'g'), '') AS letters FROM each),
twins AS (SELECT letters, PatientBirthDate, list_sort(list(PatientID)) AS ids FROM named
    WHERE letters IS NOT NULL AND PatientBirthDate IS NOT NULL GROUP BY ALL HAVING count(*) BETWEEN 2 AND 10)
SELECT a.* EXCLUDE (letters),
    coalesce(list_filter(twins.ids, lambda other: other <> a.PatientID), []) AS derived_possibly_the_same,
    CASE WHEN a.letters IS NOT NULL THEN count(*) OVER (PARTITION BY a.letters) - 1 ELSE 0 END AS derived_namesakes
FROM named a LEFT JOIN twins ON twins.letters = a.letters AND twins.PatientBirthDate = a.PatientBirthDate"""
