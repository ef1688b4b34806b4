"""The tables of an archive as SQL views over the instance table: one each for series, studies and patients.

Knows geometry (plane, slices, gaps), several volumes in one series and double series. The words and times that tell a
weighting or a body part come from ``meaning``. The SQL runs in DuckDB.
"""

from __future__ import annotations

from pathlib import Path

from voxloom.archive import meaning
from voxloom.archive.database import quoted

#: Slices closer than this (mm) lie at one position.
SAME_POSITION_MM = 0.02
#: Components of ImageOrientationPatient that differ by less are one direction.
SAME_DIRECTION = 0.01
#: A stack that leans by less (degrees), or by less than a quarter pixel in all, is upright.
TILT_DEGREES = 0.1
_FOLDER = r"regexp_replace(concat_ws('/', file, member), '[/\\][^/\\]*$', '')"


def parquet_of(archive: Path) -> str:
    """The rows of an archive, in SQL; those of a folder that was cut have their ``part``."""
    if archive.is_dir():
        return f"read_parquet({quoted(archive / '*' / '*.parquet')}, hive_partitioning = true)"
    return f"read_parquet({quoted(archive)}, file_row_number = true)"


def instances_sql(archive: Path) -> str:
    """View ``instances``: the Parquet file, or the files of a folder that was cut (``partition``).

    A missing UID or patient id is replaced by one made from the folder.
    """
    cut = archive.is_dir()
    number = "row_number" if cut else "file_row_number"
    kept = "* EXCLUDE (row_number)" if cut else "*"
    own = f"'no-uid:' || {_FOLDER} || coalesce('#' || frame_of_reference_uid, '')"
    return f"""
CREATE OR REPLACE VIEW instances AS
SELECT {kept} REPLACE (
    coalesce(series_uid, {own}) AS series_uid,
    coalesce(study_uid, {own}) AS study_uid,
    coalesce(patient_id, 'no-id:' || coalesce(study_uid, {_FOLDER})) AS patient_id),
    {number} AS number
FROM {parquet_of(archive)}"""


#: Columns whose value is that of the first instance of the series.
FIRST = (
    "study_uid", "patient_id", "patient_name", "patient_birth_date", "patient_sex", "patient_age", "study_date",
    "study_time", "study_description", "series_number", "series_description", "protocol_name", "modality",
    "manufacturer", "model", "institution", "sop_class_uid", "transfer_syntax_uid", "image_type", "body_part_examined",
    "patient_position", "contrast_agent", "scanning_sequence", "sequence_variant", "scan_options", "acquisition_type",
    "sequence_name", "kernel", "kvp", "gantry_tilt", "echo_train_length", "flip_angle", "inversion_time",
    "repetition_time", "field_strength_header", "slice_thickness", "spacing_between_slices", "rows", "columns",
    "pixel_row", "pixel_column", "photometric", "row_x", "row_y", "row_z", "column_x", "column_y", "column_z",
    "frame_of_reference_uid", "burned_in_annotation", "images_in_acquisition", "acquisition_date", "acquisition_time",
    "content_time",
)  # fmt: skip

_NORMAL = {
    "x": "row_y * column_z - row_z * column_y",
    "y": "row_z * column_x - row_x * column_z",
    "z": "row_x * column_y - row_y * column_x",
}
_LOCATION = " + ".join(f"position_{axis} * ({value})" for axis, value in _NORMAL.items())
_TURN = " OR ".join(
    f"max({name}) - min({name}) > {SAME_DIRECTION}"
    for name in ("row_x", "row_y", "row_z", "column_x", "column_y", "column_z")
)

_GROUPED = f"""
grouped AS (
    SELECT series_uid,
        min(number) AS first_number,
        count(*) AS instances,
        CAST(sum(coalesce(frames, 1)) AS BIGINT) AS images,
        coalesce(max(frames) > 1, false) AS multi_frame,
        list(hash(coalesce(sop_instance_uid, concat_ws('/', file, member)))) AS objects,
        list_concat(list({_LOCATION}) FILTER (frame_locations IS NULL AND position_x IS NOT NULL AND row_x IS NOT NULL),
            flatten(list(frame_locations) FILTER (frame_locations IS NOT NULL))) AS places,
        list_sort(list_distinct(list(round(echo_time, 2)) FILTER (echo_time > 0))) AS echo_times,
        list_sort(list_distinct(list(b_value) FILTER (b_value IS NOT NULL))) AS b_values,
        list_unique(list(temporal_position) FILTER (temporal_position IS NOT NULL)) AS time_points,
        list_unique(list(acquisition_number) FILTER (acquisition_number IS NOT NULL)) AS acquisitions,
        list_unique(list(hash(round(echo_time, 2), b_value, temporal_position, image_type))) AS marks,
        min(instance_number) AS first_instance, max(instance_number) AS last_instance,
        coalesce(max(rows) > min(rows) OR max(columns) > min(columns), false) AS mixed_sizes,
        coalesce({_TURN}, false) AS turned,
        min(slice_thickness) AS thickness_min, max(slice_thickness) AS thickness_max,
        arg_min({{'x': position_x, 'y': position_y, 'z': position_z}}, {_LOCATION}) AS lowest,
        arg_max({{'x': position_x, 'y': position_y, 'z': position_z}}, {_LOCATION}) AS highest,
        min(acquisition_time) AS begin_time, min(content_time) AS content_begin,
        sum(file_size) AS bytes
    FROM instances GROUP BY series_uid
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
        CASE WHEN leaning > {TILT_DEGREES} AND sqrt(greatest(way * way - height * height, 0)) > 0.25 * pixel_row
            THEN round(leaning, 1) ELSE 0 END AS tilt,
        coalesce(echo_times[1], 0) AS echo_time,
        {meaning.plain_words("coalesce(series_description, protocol_name)")} AS words,
        {meaning.plain_words("series_description", "protocol_name", "study_description")} AS all_words
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
        CASE WHEN modality = 'MR' AND echo_time > 0 THEN {meaning.by_condition(meaning.WEIGHTING_TIMES)} END AS timed,
        coalesce(modality = 'MR' AND echo_time > 0 AND ({_REFUTED}), false) AS refuted,
        image_type LIKE 'DERIVED%' AS is_derived
    FROM measured
)"""

_SPECIAL = "('ADC', 'FA', 'field map', 'SWI', 'angiography', 'perfusion', 'BOLD', 'DWI')"
_WEIGHTED = f"""
weighted AS (
    SELECT *,
        CASE WHEN modality IS DISTINCT FROM 'MR' THEN NULL
            WHEN contains(image_type, '\\ADC') THEN {{'is': 'ADC', 'why': 'ImageType', 'sure': 0.95}}
            WHEN list_max(b_values) > 0 AND said IS DISTINCT FROM 'ADC' AND said IS DISTINCT FROM 'FA'
                THEN {{'is': 'DWI', 'why': 'b-value ' || list_max(b_values), 'sure': 0.95}}
            WHEN said IN {_SPECIAL} THEN {{'is': said, 'why': 'description', 'sure': 0.8}}
            WHEN said = timed THEN {{'is': said, 'why': 'description and times', 'sure': 0.95}}
            WHEN said IN ('T2', 'T1') AND timed IN ('FLAIR', 'STIR') THEN
                {{'is': timed, 'why': 'times; description says ' || said, 'sure': 0.7}}
            WHEN said IN ('STIR', 'FLAIR') AND timed = 'T2' AND coalesce(inversion_time, 0) = 0 THEN
                {{'is': said, 'why': 'description', 'sure': 0.6}}
            WHEN said IS NOT NULL AND timed IS NULL AND NOT refuted THEN {{'is': said, 'why': 'description', 'sure': 0.6}}
            WHEN said IS NULL AND timed IS NOT NULL AND is_derived THEN NULL
            WHEN said IS NULL AND timed IS NOT NULL THEN {{'is': timed, 'why': 'times', 'sure': 0.7}}
            WHEN said IS NOT NULL THEN {{'is': CAST(NULL AS VARCHAR), 'why': 'description says ' || said || ', times say '
                || coalesce(timed, 'otherwise (TR ' || coalesce(CAST(round(repetition_time) AS INTEGER) || '', 'unknown')
                || ', TE ' || CAST(round(echo_time) AS INTEGER) || ' ms)'), 'sure': CAST(NULL AS DECIMAL(3, 2))}}
        END AS weight
    FROM told
)"""

_DUPLICATES = """CASE WHEN positions IS NULL THEN NULL WHEN own_images IN (positions, positions * volumes) THEN 0
            ELSE own_images - positions END"""
_HAS_SIZE = "pixel_row > 0 AND pixel_column > 0"
_LABELED = f"""
labeled AS (
    SELECT *,
        CASE WHEN contains(image_type, 'LOCALIZER') THEN 'ImageType'
            WHEN {meaning.matches("words", meaning.LOCALIZER_WORDS)} THEN 'description'
            WHEN turned AND NOT multi_frame THEN 'images of several directions' END AS localizer_evidence,
        CASE WHEN is_derived THEN 'ImageType DERIVED'
            WHEN regexp_matches(image_type, {quoted(meaning.DERIVED_TYPES)}) THEN 'ImageType ' || image_type END AS derived_evidence,
        starts_with(sop_class_uid, {quoted(meaning.SECONDARY_CAPTURE)}) AS secondary_capture,
        CASE WHEN contrast_agent IS NOT NULL AND upper(contrast_agent) NOT IN ('NO', 'NONE', 'N', '0')
                THEN {{'is': true, 'why': 'ContrastBolusAgent'}}
            WHEN {meaning.matches("words", meaning.CONTRAST_NO)} THEN {{'is': false, 'why': 'description'}}
            WHEN {meaning.matches("words", meaning.CONTRAST_YES)} THEN {{'is': true, 'why': 'description'}} END AS contrasted,
        {meaning.by_words(meaning.plain_words("body_part_examined"), meaning.BODY_PARTS)} AS body_said,
        {meaning.by_words("all_words", meaning.BODY_PARTS)} AS body_named,
        {_DUPLICATES} AS duplicates,
        md5(concat_ws('|', list_transform(sorted_places, lambda place: round(place, 1)), rows, columns,
            round(pixel_row, 4), round(normal_x, 2), round(normal_y, 2), round(normal_z, 2), echo_times, b_values,
            repetition_time, image_type, coalesce(
                nullif(concat_ws('|', acquisition_date, begin_time, content_begin), coalesce(acquisition_date, '')),
                concat_ws('|', patient_id, study_date, study_time, series_number, series_description)))) AS likeness
    FROM weighted
)"""

_FAULTS = {
    "mixed_sizes": "'images of several sizes'",
    "turned": "'images of several directions'",
    "positions IS NULL": "'images without a position'",
    "contains(image_type, '\\MOSAIC')": "'mosaics: many slices in one picture, which are not counted here'",
    "len(echo_times) > 1 AND own_images < positions * len(echo_times)": "'echoes at different positions'",
    "missing > 0": "CAST(missing AS BIGINT) || if(missing = 1, ' slice missing', ' slices missing')",
    "uneven": "'unevenly spaced slices'",
    "tilt > 0": "'slices lean by ' || tilt || ' degrees (gantry tilt)'",
    "duplicates > 0": "duplicates || if(duplicates = 1, ' image', ' images') || ' at the position of another'",
}
_FINAL = f"""
SELECT series_uid, study_uid, patient_id, patient_name, patient_birth_date, patient_sex, patient_age,
    study_date, study_time, study_description, series_number, series_description, protocol_name, modality,
    instances, images, positions AS slices, CAST(volumes AS BIGINT) AS volumes, multi_frame,
    echo_times, len(echo_times) > 1 AS multi_echo, b_values,
    plane, oblique_degrees, weight.is AS weighting, weight.why AS weighting_evidence,
    CAST(weight.sure AS DOUBLE) AS weighting_confidence,
    localizer_evidence IS NOT NULL AS localizer, localizer_evidence,
    derived_evidence IS NOT NULL AS derived, derived_evidence, coalesce(secondary_capture, false) AS secondary_capture,
    contrasted.is AS contrast, contrasted.why AS contrast_evidence,
    coalesce(body_said, lower(CASE WHEN body_named IS NULL THEN body_part_examined END), body_named) AS body_part,
    CASE WHEN body_said IS NOT NULL THEN 'BodyPartExamined' WHEN body_named IS NOT NULL THEN 'description'
        WHEN body_part_examined IS NOT NULL THEN 'BodyPartExamined' END AS body_part_evidence,
    len(list_filter([{", ".join(f"CASE WHEN {test} THEN {text} END" for test, text in _FAULTS.items())}],
        lambda fault: fault IS NOT NULL)) = 0 AS complete,
    array_to_string(list_filter([{", ".join(f"CASE WHEN {test} THEN {text} END" for test, text in _FAULTS.items())}],
        lambda fault: fault IS NOT NULL), '; ') AS faults,
    CAST(missing AS BIGINT) AS missing_slices, uneven, duplicates, instances - objects_known AS copies,
    last_instance - first_instance + 1 - instances AS instance_number_gaps, images_in_acquisition,
    slice_thickness, spacing_between_slices, round(step, 3) AS spacing,
    round(list_min(gaps), 3) AS spacing_min, round(list_max(gaps), 3) AS spacing_max,
    coalesce(abs(step - abs(nullif(spacing_between_slices, 0))) > 0.1, false) AS spacing_header_wrong,
    rows, columns, pixel_row, pixel_column, mixed_sizes,
    CASE WHEN {_HAS_SIZE} THEN round(rows * pixel_row, 1) END AS field_of_view_rows,
    CASE WHEN {_HAS_SIZE} THEN round(columns * pixel_column, 1) END AS field_of_view_columns,
    coalesce({meaning.by_words(meaning.plain_words("manufacturer"), meaning.VENDORS)}, manufacturer) AS vendor,
    manufacturer, model, institution,
    round(CASE WHEN field_strength_header > 100 THEN field_strength_header / 10000 ELSE field_strength_header END, 2)
        AS field_strength,
    tilt AS tilt_degrees, patient_position, image_type, scanning_sequence, sequence_variant,
    scan_options, acquisition_type, sequence_name, kernel,
    kvp, gantry_tilt, repetition_time, nullif(echo_time, 0) AS echo_time, inversion_time, flip_angle, echo_train_length,
    contrast_agent, body_part_examined, photometric, sop_class_uid, transfer_syntax_uid, frame_of_reference_uid,
    CASE WHEN upper(burned_in_annotation) = 'YES' THEN 'yes' WHEN upper(burned_in_annotation) = 'NO' THEN 'no'
        WHEN secondary_capture OR modality IN {meaning.BURNED_IN_SUSPECTS} THEN 'suspected' ELSE 'unknown' END AS burned_in,
    nullif(first_value(series_uid) OVER (PARTITION BY likeness, coalesce(positions, -first_number) ORDER BY series_uid), series_uid)
        AS duplicate_of,
    CAST(bytes AS BIGINT) AS bytes
FROM labeled"""

#: The query behind the view ``series``.
SERIES_QUERY = f"WITH {','.join((_GROUPED, _JOINED, _MEASURED, _TOLD, _WEIGHTED, _LABELED))}{_FINAL}"

STUDIES_SQL = """
CREATE OR REPLACE VIEW studies AS
SELECT study_uid, any_value(patient_id) AS patient_id, any_value(study_date) AS study_date,
    any_value(study_description) AS study_description, list_sort(list_distinct(list(modality))) AS modalities,
    count(*) AS series, CAST(sum(instances) AS BIGINT) AS instances,
    count(DISTINCT patient_id) > 1 AS several_patients
FROM series GROUP BY study_uid"""

#: Two ids are possibly one person: same name (letters and digits) and birth date. More than 10 ids share no person's name, but a
#: word such as ANONYMOUS.
PATIENTS_SQL = """
CREATE OR REPLACE VIEW patients AS
WITH each AS (
    SELECT patient_id, any_value(patient_name) AS name, any_value(patient_birth_date) AS birth_date,
        any_value(patient_sex) AS sex,
        count(DISTINCT regexp_replace(lower(patient_name), '[^\\pL\\pN]', '', 'g')) > 1 AS several_names,
        count(DISTINCT study_uid) AS studies, count(*) AS series, CAST(sum(instances) AS BIGINT) AS instances
    FROM series GROUP BY patient_id),
named AS (SELECT *, nullif(regexp_replace(lower(name), '[^\\pL\\pN]', '', 'g'), '') AS letters FROM each),
twins AS (SELECT letters, birth_date, list_sort(list(patient_id)) AS ids FROM named
    WHERE letters IS NOT NULL AND birth_date IS NOT NULL GROUP BY ALL HAVING count(*) BETWEEN 2 AND 10)
SELECT a.* EXCLUDE (letters),
    coalesce(list_filter(twins.ids, lambda other: other <> a.patient_id), []) AS possibly_the_same,
    CASE WHEN a.letters IS NOT NULL THEN count(*) OVER (PARTITION BY a.letters) - 1 ELSE 0 END AS namesakes
FROM named a LEFT JOIN twins ON twins.letters = a.letters AND twins.birth_date = a.birth_date"""
