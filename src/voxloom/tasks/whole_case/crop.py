"""Which box of a case is looked at: around its masks, or around a point. Knows columns and landmarks; cuts nothing itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from voxloom.dataset import Case
from voxloom.dataset.focus import FOCUSED, focused_on_mask, focused_on_point, inside
from voxloom.dataset.focus import Point as Place
from voxloom.dataset.sources import FocusedImage, ImageSource
from voxloom.dataset.tables import name_some
from voxloom.errors import BadInput
from voxloom.formats import read_label
from voxloom.points import Point, read_points
from voxloom.tasks.whole_case.material import number_of, value_of
from voxloom.tasks.whole_case.settings import CropSettings
from voxloom.volume import Volume

_POINTS = (".csv", ".json", ".fcsv")


def cropped(case: Case, crop: CropSettings | None) -> Case:
    """The case whose image is the box; the same case where the whole scan is looked at, or the box is its image already.

    Raises
    ------
    BadInput : the case lacks the mask or the point.
    """
    if crop is None or any(isinstance(source, FocusedImage) for source in case.images.values()):
        return case
    masks = masks_of(case, crop) if crop.around == "mask" else ()
    point = point_of(case, crop) if crop.around == "point" else None
    images: dict[str, ImageSource] = {
        name: FocusedImage(source, crop.focus, masks, point) for name, source in case.images.items()
    }
    return replace(case, images=images, label=None, points=None, masks={})


def masks_of(case: Case, crop: CropSettings) -> tuple[ImageSource, ...]:
    """Those that the recipe names and the case has, at least one; else its label map."""
    if crop.masks:
        known = {**case.masks, **({} if case.label is None else {"mask": case.label, "label": case.label})}
        found = tuple(known[name] for name in crop.masks if name in known)
        if not found:
            what = f"case {case.id} has none of the masks {name_some(crop.masks)} to crop around"
            raise BadInput(what, None, f"It has {name_some(known)}" if known else "Add columns of masks to the table")
        return found
    if case.label is None:
        what = f"case {case.id} has no mask to crop around"
        raise BadInput(what, None, "Add a column `mask`, or leave the case out: data.exclude")
    return (case.label,)


def point_of(case: Case, crop: CropSettings) -> Place:
    """RAS mm, from three columns or from the case's landmarks."""
    if crop.columns:
        values = [value_of(case, column) for column in crop.columns]
        if None in values:
            lost = crop.columns[values.index(None)]
            raise BadInput(f"case {case.id} has no value in column {lost}", None, "Fill the cell: the point in RAS mm")
        x, y, z = (number_of(v, case.id, c, None) for v, c in zip(values, crop.columns, strict=True))
        return (x, y, z)
    return only_point(case.read_points(), crop, f"case {case.id}")


def only_point(points: Sequence[Point], crop: CropSettings, who: str) -> Place:
    """The landmark that the recipe names, or the only one."""
    named = [p for p in points if crop.landmark is None or p.name == crop.landmark]
    if len(named) != 1:
        known = name_some(p.name for p in points)
        what = (
            f"{who} has {len(named)} points{'' if crop.landmark is None else f' named {crop.landmark}'} to crop around"
        )
        fix = f"Name one: crop.landmark. There are {known}" if points else "Give points, or columns: crop.columns"
        raise BadInput(what, None, fix)
    x, y, z = named[0].position
    return (float(x), float(y), float(z))


def focused_scan(volume: Volume, crop: CropSettings, around: Path) -> Volume:
    """The box of a new scan, around a mask on its grid or a point in a file.

    Raises
    ------
    BadInput : the file is of the other kind, or does not go with the scan.
    """
    if crop.around == "point":
        if around.suffix.lower() not in _POINTS:
            raise BadInput(
                "the run looks around a point, and this is not a file of points",
                around,
                "Give .csv, .mrk.json or .fcsv",
            )
        return focused_on_point(volume, only_point(read_points(around, around.stem), crop, str(around)), crop.focus)
    mask = read_label(around)
    if not volume.same_grid(mask, tolerance_mm=0.1):
        raise BadInput("the mask does not lie on the scan", around, "Export it on the grid of the scan")
    return focused_on_mask(volume, inside(mask.data[0], crop.focus.labels), crop.focus)


def refuse_whole(volume: Volume, crop: CropSettings | None) -> None:
    """Refuse a scan that was to be cropped."""
    if crop is not None and not volume.meta.get(FOCUSED):
        what = f"the run looks at a crop around a {crop.around}, which a scan alone does not have"
        fix = f"Give it: --around {'MASK' if crop.around == 'mask' else 'POINTS'} (in Python around=)"
        raise BadInput(what, volume.meta.get("source"), fix)
