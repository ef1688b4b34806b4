"""Which series become cases: the rules carried out on the series table, and how many each of them left.

Knows steps, preferences and cases of several channels. Reads no pixels and writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxloom.archive.catalogue import Archive, told_by
from voxloom.archive.conditions import order_of, sql_of
from voxloom.archive.rules import SelectRules, in_present_names
from voxloom.errors import BadInput

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_CASE_KEYS = {"study": "StudyInstanceUID", "patient": "StudyInstanceUID", "series": "SeriesInstanceUID"}
#: Facts of a chosen series that the data set's table tells.
FACTS = (
    "SeriesInstanceUID", "StudyInstanceUID", "PatientID", "PatientAge", "PatientSex", "StudyDate", "Modality",
    "derived_weighting", "derived_plane", "derived_spacing", "SliceThickness", "derived_vendor", "derived_field_strength",
    "derived_contrast", "derived_body_part", "derived_echo_times", "derived_b_values", "FrameOfReferenceUID", "instances",
)  # fmt: skip


@dataclass(frozen=True)
class Step:
    """What one rule left."""

    name: str
    patients: int
    studies: int
    series: int
    instances: int


@dataclass(frozen=True)
class Instance:
    """Where one image lies, and what may tell it from its neighbors."""

    file: str
    member: str | None
    echo_time: float | None
    b_value: float | None
    sop_instance_uid: str | None


@dataclass(frozen=True)
class ChosenCase:
    """One case: whose it is, and one series for every channel.

    Parameters
    ----------
    person : patient id that stands for all ids of the patient.
    key : study or series UID.
    series : by channel, the ``FACTS`` of its series.
    """

    person: str
    key: str
    series: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Choice:
    """The outcome of the rules.

    Parameters
    ----------
    steps : counts after every rule; the first is the whole archive.
    cases : ordered by person and key.
    """

    steps: tuple[Step, ...]
    cases: tuple[ChosenCase, ...]


def choose(archive: Archive, rules: SelectRules, source: str | Path) -> Choice:
    """Carry out ``rules`` (read from ``source``). Raises BadInput for columns and conditions that do not exist."""
    import duckdb

    try:
        return _carried_out(archive, rules, source)
    except duckdb.Error as error:
        raise BadInput(f"the rules cannot be carried out ({told_by(error)})", source, "Correct the rule") from None


def _carried_out(archive: Archive, rules: SelectRules, source: str | Path) -> Choice:
    with archive.open() as db:
        columns = {row[0]: row[1] for row in db.execute("DESCRIBE series").fetchall()}
        rules = in_present_names(rules, source)
        checked = [(rule.name, sql_of(rule.where, columns, source)) for rule in _all_rules(rules)]
        _fill_pool(db, rules.unify_patients)
        steps = [_count(db, "all", "pool")]
        for name, condition in checked:
            db.execute(f"DELETE FROM pool WHERE NOT ({condition})")
            steps.append(_count(db, name, "pool"))
        key = _CASE_KEYS[rules.case]
        for number, channel in enumerate(rules.channels.values()):
            where, order = sql_of(channel.where, columns, source), order_of(channel.prefer, columns, source)
            db.execute(
                f"""CREATE TEMP TABLE channel_{number} AS SELECT *, {key} AS case_key,
                    row_number() OVER (PARTITION BY {key} ORDER BY {order}) AS place FROM pool WHERE {where}"""
            )
        steps += _join_channels(db, rules, columns, source)
        return Choice(tuple(steps), _cases(db, list(rules.channels)))


def _all_rules(rules: SelectRules) -> list[Any]:
    from voxloom.archive.rules import Rule

    own = [Rule(name="no text in the pixels", where={"derived_burned_in": ["no", "unknown"]})]
    return [*rules.keep, *(own if rules.burned_in == "refuse" else [])]


def _fill_pool(db: DuckDBPyConnection, unify: bool) -> None:
    person = "list_min(list_append(derived_possibly_the_same, PatientID))" if unify else "PatientID"
    db.execute(f"CREATE TEMP TABLE people AS SELECT PatientID, {person} AS person FROM patients")
    db.execute("CREATE TEMP TABLE pool AS SELECT series.*, person FROM series JOIN people USING (PatientID)")


def _count(db: DuckDBPyConnection, name: str, table: str) -> Step:
    row = db.execute(
        f"""SELECT count(DISTINCT person), count(DISTINCT StudyInstanceUID), count(DISTINCT SeriesInstanceUID),
            CAST(coalesce(sum(instances), 0) AS BIGINT)
            FROM (SELECT DISTINCT person, StudyInstanceUID, SeriesInstanceUID, instances FROM {table})"""
    ).fetchall()[0]
    return Step(name, *(int(value) for value in row))


def _join_channels(
    db: DuckDBPyConnection, rules: SelectRules, columns: Mapping[str, str], source: str | Path
) -> list[Step]:
    """Table ``chosen``: case key, person and the series of each channel; the steps that led to it."""
    count, names = len(rules.channels), list(rules.channels)
    others = " ".join(f"SEMI JOIN channel_{n} o{n} USING (case_key)" for n in range(count))
    union = " UNION ALL ".join(f"(SELECT * FROM channel_{n} {others})" for n in range(count))
    db.execute(f"CREATE TEMP TABLE complete AS {union}")
    what = "a series for " + (" and ".join(names) if count > 1 else names[0])
    steps = [_count(db, what, "complete")]
    joins = " ".join(
        f"JOIN channel_{n} c{n} ON c{n}.case_key = c0.case_key AND c{n}.place = 1" for n in range(1, count)
    )
    series = ", ".join(f"c{n}.SeriesInstanceUID AS series_{n}" for n in range(count))
    db.execute(
        f"CREATE TEMP TABLE chosen AS SELECT c0.case_key, c0.person, {series} FROM channel_0 c0 {joins} WHERE c0.place = 1"
    )
    if rules.case == "patient":
        number = names.index(rules.reference_channel)
        order = order_of(rules.channels[rules.reference_channel].prefer, columns, source)
        db.execute(
            f"""DELETE FROM chosen WHERE case_key NOT IN (SELECT case_key FROM (SELECT chosen.case_key, row_number() OVER
                (PARTITION BY chosen.person ORDER BY {order}, case_key) AS place
                FROM chosen JOIN pool ON pool.SeriesInstanceUID = chosen.series_{number}) WHERE place = 1)"""
        )
    listed = " UNION ".join(f"SELECT series_{n} AS SeriesInstanceUID FROM chosen" for n in range(count))
    db.execute(f"CREATE TEMP TABLE picked AS SELECT pool.* FROM pool SEMI JOIN ({listed}) USING (SeriesInstanceUID)")
    each = {"study": "study", "patient": "patient", "series": "case"}[rules.case]
    return [*steps, _count(db, f"one series per channel and {each}", "picked")]


def _cases(db: DuckDBPyConnection, channels: list[str]) -> tuple[ChosenCase, ...]:
    found = db.execute(f"SELECT {', '.join(FACTS)} FROM picked").fetchall()
    facts = {row[0]: dict(zip(FACTS, row, strict=True)) for row in found}
    rows = db.execute(
        "SELECT person, case_key, * EXCLUDE (person, case_key) FROM chosen ORDER BY person, case_key"
    ).fetchall()
    return tuple(
        ChosenCase(person, key, {name: facts[uid] for name, uid in zip(channels, series, strict=True)})
        for person, key, *series in rows
    )


def images_of(archive: Archive, cases: Sequence[ChosenCase]) -> dict[str, tuple[Instance, ...]]:
    """The images of every series of ``cases``, by series UID, in the order of their files."""
    import pyarrow as pa

    wanted = sorted({facts["SeriesInstanceUID"] for case in cases for facts in case.series.values()})
    with archive.open() as db:
        db.register("wanted", pa.table({"SeriesInstanceUID": wanted}))
        rows = db.execute(
            """SELECT SeriesInstanceUID, file, member, EchoTime, derived_b_value, SOPInstanceUID FROM instances
               SEMI JOIN wanted USING (SeriesInstanceUID) ORDER BY SeriesInstanceUID, file, member"""
        ).fetchall()
    found: dict[str, list[Instance]] = {}
    for series, *values in rows:
        found.setdefault(series, []).append(Instance(*values))
    return {series: tuple(images) for series, images in found.items()}
