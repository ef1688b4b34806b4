"""Points as 3D Slicer keeps them: markups JSON (``.mrk.json``) and the older ``.fcsv``.

Knows both coordinate systems of these files (LPS since Slicer 4.11, RAS before), their units, and that a point's label is
``NAME side``. Does not know cases.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from voxloom.errors import BadInput
from voxloom.files import write_json, write_text
from voxloom.formats.textheader import unit_mm
from voxloom.points.point import Point, Position

SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
    "markups-schema-v1.0.3.json#"
)
_SIDED = re.compile(r"^(?P<name>.+?)[\s_\-.]+(?P<side>left|right|l|r)$", re.IGNORECASE)
#: Axis signs from the file's coordinate system to RAS.
_TO_RAS = {"LPS": (-1.0, -1.0, 1.0), "RAS": (1.0, 1.0, 1.0), "1": (-1.0, -1.0, 1.0), "0": (1.0, 1.0, 1.0)}


def read_markups(path: str | Path) -> tuple[Point, ...]:
    """Points of a ``.mrk.json`` file; points that are not placed are left out.

    The label ``L1 left`` (also ``L1_L``, ``L1-left``) is the landmark L1 on the left. A second mark of a landmark may be
    numbered as Slicer does it (``L1 left_2`` is not split; give both points one label).

    Raises
    ------
    BadInput : not a markups file, an unknown coordinate system or unit, or a control point without a position.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8-sig"))
        lists = content["markups"]
        found = [(_frame(m, path), point) for m in lists for point in m.get("controlPoints", [])]
    except BadInput:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
        raise BadInput(f"is not a markups file of 3D Slicer ({e})", path, "Save the markups again as .mrk.json") from e
    placed = [(frame, p) for frame, p in found if p.get("positionStatus", "defined") == "defined"]
    return tuple(_point(str(p.get("label", "")), p.get("position"), frame, path) for frame, p in placed)


def _frame(markups: Mapping[str, Any], path: str | Path) -> tuple[str, float]:
    """Coordinate system of a list of points, and millimetres per unit (``coordinateUnits``: one, or one per axis)."""
    given = markups.get("coordinateUnits", "mm")
    units = {unit_mm(str(unit), Path(path)) for unit in (given if isinstance(given, list) else [given])}
    if len(units) != 1:
        raise BadInput(f"its axes have different units ({given})", path, "Save the markups in millimeters")
    return str(markups.get("coordinateSystem", "LPS")), units.pop()


def read_fcsv(path: str | Path) -> tuple[Point, ...]:
    """Points of a ``.fcsv`` file (columns in the line ``# columns = id,x,y,z,...,label,...``); BadInput if it is not one."""
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as e:
        raise BadInput(f"cannot be read ({e})", path, "Save the markups again") from e
    about = {k.strip(): v.strip() for k, _, v in (line[1:].partition("=") for line in lines if line.startswith("#"))}
    columns = [name.strip() for name in about.get("columns", "").split(",")]
    if not {"x", "y", "z", "label"} <= set(columns):
        raise BadInput("has no line `# columns = id,x,y,z,...,label,...`", path, "Save the markups again")
    rows = csv.reader(line for line in lines if line.strip() and not line.startswith("#"))
    cells = [dict(zip(columns, row, strict=False)) for row in rows]
    system = about.get("CoordinateSystem", "0")
    return tuple(_point(row.get("label", ""), [row.get(a) for a in "xyz"], (system, 1.0), path) for row in cells)


def _point(label: str, position: Sequence[Any] | None, frame: tuple[str, float], path: str | Path) -> Point:
    system, mm = frame
    signs = _TO_RAS.get(system.strip().upper())
    if signs is None:
        raise BadInput(f"the coordinate system {system!r} is not known", path, "Save the markups in LPS or RAS")
    name, side = split_label(label)
    try:
        if position is None or len(position) != 3:
            raise ValueError(f"position {position}")
        x, y, z = (s * mm * float(v) for s, v in zip(signs, position, strict=True))
        return Point(name, side, (x, y, z))
    except (BadInput, ValueError, TypeError) as e:
        raise BadInput(f"control point {label!r} cannot be used ({e})", path, "Correct it in 3D Slicer") from e


def split_label(label: str) -> tuple[str, str]:
    """Name and side of a label such as ``L1 left``, ``L1_L`` or ``L1``."""
    match = _SIDED.match(label.strip())
    return (match["name"], match["side"]) if match else (label.strip(), "")


def write_markups(points: Iterable[Point], path: str | Path) -> Path:
    """Write a point list that 3D Slicer 5 opens, LPS millimetres, whole or not at all."""
    controls = [_control(number, point) for number, point in enumerate(points, start=1)]
    markups = {"type": "Fiducial", "coordinateSystem": "LPS", "coordinateUnits": "mm", "controlPoints": controls}
    write_json(path, {"@schema": SCHEMA, "markups": [markups]})
    return Path(path)


def write_fcsv(points: Iterable[Point], path: str | Path) -> Path:
    """Write the point list of 3D Slicer 4 (``.fcsv``, LPS millimetres), whole or not at all."""
    text = io.StringIO()
    text.write("# Markups fiducial file version = 4.11\n# CoordinateSystem = LPS\n")
    text.write("# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID\n")
    writer = csv.writer(text, lineterminator="\n")
    for number, point in enumerate(points, start=1):
        control = _control(number, point)
        writer.writerow(
            [number, *control["position"], 0, 0, 0, 1, 1, 1, 0, control["label"], control["description"], ""]
        )
    write_text(path, text.getvalue())
    return Path(path)


def _control(number: int, point: Point) -> dict[str, Any]:
    x, y, z = point.position
    return {
        "id": str(number),
        "label": str(point.key),
        "description": "" if point.confidence is None else f"confidence {point.confidence:.3f}",
        "position": _rounded((-x, -y, z)),
        "selected": True,
        "locked": False,
        "visibility": True,
        "positionStatus": "defined",
    }


def _rounded(position: Position) -> list[float]:
    return [round(v, 4) for v in position]
