"""Aggregation: the published study of 72 networks, missing and infinite scores, refusals, renderings."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from voxloom.dataset.tables import read_table
from voxloom.errors import BadInput
from voxloom.evaluation.aggregate import Cell, Table, Tables, aggregate
from voxloom.report.aggregate_tables import as_csv, as_json, as_latex, as_text, cell_text, rounded, write_tables

#: The 72 scores of Table 4.3 of A. Utegulov, Analysis of medical images using deep learning, Koblenz, 2020.
PUBLISHED = Path(__file__).with_name("cervical_table_4_3.csv")
PLANES = ("sagittal", "coronal", "axial")
TRANSFER = {"weights": {"Transfer learning": ["ResNet-50", "Inception-v4"]}}


def table_of(factor: str, **changes: object) -> Table:
    tables = aggregate(read_table(PUBLISHED), Tables((factor,), PLANES, **changes))  # type: ignore[arg-type]
    return tables[-1]


def shown(table: Table, level: str) -> list[str]:
    return [cell_text(table.levels[level][plane], (0, 1)) for plane in PLANES]


def test_table_4_4_per_plane() -> None:
    overall = aggregate(read_table(PUBLISHED), Tables((), PLANES))
    assert shown(overall[0], "all") == ["81 ± 3.8", "78 ± 4.4", "75 ± 2.9"]


def test_table_4_5_raw_and_corrected() -> None:
    table = table_of("corrected")
    assert shown(table, "No") == ["81 ± 3.8", "77 ± 3.1", "76 ± 3.1"]
    assert shown(table, "Yes") == ["81 ± 4.0", "80 ± 5.1", "74 ± 2.6"]


def test_table_4_7_random_and_transfer() -> None:
    table = table_of("weights", merge=TRANSFER)
    assert shown(table, "Random") == ["82 ± 3.1", "75 ± 2.8", "74 ± 2.7"]
    assert shown(table, "Transfer learning") == ["81 ± 4.2", "80 ± 3.9", "76 ± 2.8"]


def test_table_4_8_encoders() -> None:
    table = table_of("weights")
    assert shown(table, "ResNet-50") == ["83 ± 4.5", "79 ± 3.9", "75 ± 3.1"]
    assert shown(table, "Inception-v4") == ["78 ± 2.4", "81 ± 4.0", "76 ± 2.6"]


def test_sd_is_that_of_a_sample() -> None:
    cell = aggregate([{"x": 1}, {"x": 3}], Tables((), ("x",)))[0].levels["all"]["x"]
    assert (cell.mean, cell.sd) == (2, math.sqrt(2))


def test_crossed_factors_and_kept_levels() -> None:
    table = table_of("model*weights", where={"corrected": ["Yes"]})
    assert len(table.levels) == 12
    assert table.levels["FPN*Inception-v4"]["coronal"].mean == 88
    assert table.levels["FPN*Inception-v4"]["coronal"].sd is None


def test_a_factor_across_gives_the_same_as_columns() -> None:
    long = [{**row, "plane": p, "dice": row[p]} for row in read_table(PUBLISHED) for p in PLANES]
    table = aggregate(long, Tables(("corrected",), ("dice",), across="plane"))[-1]
    assert table.columns == PLANES
    assert shown(table, "Yes") == shown(table_of("corrected"), "Yes")


def test_missing_scores_are_counted_and_infinite_ones_shown() -> None:
    rows = [{"f": "a", "x": 1.0}, {"f": "a"}, {"f": "b", "x": math.inf}, {"f": "b", "x": 2.0}, {"f": "c"}]
    table = aggregate(rows, Tables(("f",), ("x",)))[-1]
    a, b, c = (table.levels[level]["x"] for level in "abc")
    assert (a.n, a.missing, a.mean, a.sd) == (1, 1, 1.0, None)
    assert (b.n, b.mean, b.sd) == (2, math.inf, None)
    assert (c.n, c.missing) == (0, 1)
    assert math.isnan(c.mean)
    assert "1 (1 missing)" in as_text([table])
    assert json.loads(as_json([table]))[0]["levels"]["c"]["x"]["mean"] is None
    assert json.loads(as_json([table]))[0]["levels"]["b"]["x"]["mean"] == "inf"


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Tables(("correct",), ("axial",)), "Did you mean `corrected`"),
        (Tables((), ("weights",)), "not a number"),
        (Tables((), ("axial",), where={"weights": ["ResNet50"]}), "Did you mean `ResNet-50`"),
        (Tables((), ("axial",), merge={"weights": {"t": ["Inception"]}}), "Did you mean `Inception-v4`"),
        (Tables((), ("axial",), across="plane"), "no column `plane`"),
    ],
)
def test_refusals(wanted: Tables, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        aggregate(read_table(PUBLISHED), wanted, PUBLISHED)


def test_two_filters_that_leave_nothing_are_refused() -> None:
    rows = [{"a": 1, "b": 1, "x": 1}, {"a": 2, "b": 2, "x": 1}]
    with pytest.raises(BadInput, match="no row is left"):
        aggregate(rows, Tables((), ("x",), where={"a": ["1"], "b": ["2"]}))


@pytest.mark.parametrize(
    ("value", "decimals", "text"), [(73.5, 0, "74"), (72.5, 0, "73"), (2.675, 2, "2.68"), (-0.5, 0, "-1")]
)
def test_halves_are_rounded_as_in_print(value: float, decimals: int, text: str) -> None:
    assert rounded(value, decimals) == text


def test_sd_with_two_digits_unless_asked() -> None:
    table = table_of("corrected")
    assert cell_text(table.levels["Yes"]["axial"]) == "74.3 ± 2.6"
    assert cell_text(Cell(2, 0, 0.37, 0.0998)) == "0.37 ± 0.10"


def test_latex_is_a_tabular_with_escapes() -> None:
    tables = aggregate([{"a_b": "50 %", "x": 1}, {"a_b": "50 %", "x": 2}], Tables(("a_b",), ("x",)))
    text = as_latex(tables, (1, 1))
    assert r"a\_b & x \\" in text
    assert r"50 \% & $1.5 \pm 0.7$ \\" in text
    assert text.count(r"\begin{tabular}{lr}") == text.count(r"\end{tabular}") == 2


def test_csv_has_full_precision() -> None:
    lines = as_csv([table_of("corrected")]).splitlines()
    assert lines[0] == "factor,level,score,n,missing,mean,sd"
    assert lines[1].startswith("corrected,Yes,sagittal,12,0,80.91666")


def test_ending_decides_the_format(tmp_path: Path) -> None:
    table = table_of("corrected")
    for ending in (".txt", ".csv", ".tex", ".json"):
        assert write_tables([table], tmp_path / f"t{ending}").stat().st_size > 50
    with pytest.raises(BadInput, match="not written as .xlsx"):
        write_tables([table], tmp_path / "t.xlsx")
