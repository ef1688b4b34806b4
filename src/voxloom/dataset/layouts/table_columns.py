"""Which columns of a table hold images, which the label map, and which other masks that must not become an input.

A column is understood by its name and its cells, or the reader is told: a mask is never guessed into an input, and nothing is
dropped in silence. Knows the usual names of masks and of image types. Does not know who was scanned (``dataset.columns``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voxloom.dataset.columns import plain
from voxloom.dataset.inspect.intensities import few_values
from voxloom.dataset.layouts.contents import split_ending
from voxloom.dataset.written import is_empty
from voxloom.errors import BadInput, VoxloomError

Row = Mapping[str, Any]
_LABELS = (
    "label", "mask", "labels", "masks", "labelmap", "seg", "segm", "segmentation", "segmentations", "groundtruth", "gt",
    "annotation", "annotations", "truth", "roi", "rois", "contour", "contours", "lbl", "msk", "dseg", "segs", "labelmaps",
)  # fmt: skip
_IMAGES = ("image", "images", "img", "imgs", "scan", "scans", "volume", "file", "filename", "filepath", "path")
#: Parts of a name that only say that cells are paths.
_PATH_WORDS = {"path", "paths", "file", "files", "filename", "filepath", "name", "url", "uri", "nii", "nifti"}
#: Parts of a mask's name that tell whose reading it is, not which structure.
_READINGS = {
    "rater", "raters", "reader", "readers", "observer", "expert", "annotator", "consensus", "pred", "preds", "prediction",
    "predictions", "predicted", "output", "auto", "automatic", "manual", "old", "new", "version", "model", "baseline", "final",
    "corrected", "draft", "junior", "senior", "copy", "first", "second", "third", "human", "ai", "prob", "probseg", "softmax",
}  # fmt: skip
_PREDICTED = {"pred", "preds", "prediction", "predictions", "predicted", "output", "prob", "probseg", "softmax"}
_MASK_WORDS = {*_LABELS, "gtv", "aseg", "aparc", "parcellation", "delineation", "brainmask"}
#: Image types that nobody gives to a mask; a column of another name is looked into.
_MODALITIES = re.compile(
    r"(t[12]\w*|pd\w*|fl\w*|flair\w*|dir|stir\w*|ct\w*|cbct\w*|mr\w*|pet\w*|spect|us|dwi\w*|dti|adc\w*|swi\w*|swan|dce\w*|dsc\w*|"
    r"asl\w*|bold|fmri|cb[fv]\w*|rcb[fv]|mprage|space|tse|gre|fse|ssfp|dixon|water|fat|inphase|oppphase|magnitude|phase|qsm|fa|md|"
    r"b\d+|hbv|xray|dx|cr|mg|red|green|blue|low|high|post\w*|pre\w*|arterial|venous|portal\w*|delayed|native|nac|ac|suv)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class MediaColumns:
    """Columns of files.

    Parameters
    ----------
    images : channel name by column.
    label : column of the label map.
    structures : structure by column, where every structure has a map of its own.
    unused : why a column of files is not used, by column.
    masks : columns of further masks beside the label map; a crop may be taken around them.
    """

    images: Mapping[str, str]
    label: str | None = None
    structures: Mapping[str, str] = field(default_factory=dict)
    unused: Mapping[str, str] = field(default_factory=dict)
    masks: tuple[str, ...] = ()

    @property
    def meanings(self) -> dict[str, str]:
        """What each column was taken for."""
        found = {column: f"input channel {channel}" for column, channel in self.images.items()}
        found |= {column: f"map of {name}" for column, name in self.structures.items()} | dict(self.unused)
        return found if self.label is None else {**found, self.label: "label map"}


def media_columns(rows: Sequence[Row], columns: Sequence[str], table: Path) -> MediaColumns:
    """The columns of images and of masks.

    Raises
    ------
    BadInput : no column of images, or a column of files could be meant in two ways; the message says how to name it.
    """
    held = [c for c in columns if plain(c) in ("label", "labels", "mask") or _holds_files(rows, c, table)]
    masks = [column for column in held if _is_mask(column)]
    files = [column for column in held if column not in masks]
    _refuse_image_masks(masks, table)
    explicit = [column for column in files if _image_name(column) is not None]
    chosen = explicit or files
    if not chosen:
        fix = "Name it `image`, or `image_<channel>` for several"
        raise BadInput(f"no column of images among {', '.join(columns)}", table, fix)
    for column in chosen:
        if column not in explicit:
            _refuse_hidden_mask(rows, column, table)
    unused = {
        c: f"not used: holds image files; name it image_{c} to make it an input" for c in files if c not in chosen
    }
    images = {column: _image_name(column) or _bare(column) for column in chosen}
    return _with_labels(rows, masks, MediaColumns(images, unused=unused), table)


def _with_labels(rows: Sequence[Row], masks: list[str], found: MediaColumns, table: Path) -> MediaColumns:
    """The columns with the label map, or with the maps of single structures."""
    main = sorted(
        (c for c in masks if plain(_bare(c)) in _LABELS), key=lambda c: (c not in ("label", "mask"), c != "label")
    )
    main += [c for c in masks if c not in main and _structure(c) in {n.lower() for n in found.images.values()}]
    if main:
        differing = [c for c in main[1:] if any(row.get(c) != row.get(main[0]) for row in rows)]
        if differing and main[0] != "label":
            raise _which_label([main[0], *differing], table)
        return _labelled(found, main[0], masks)
    if masks and all(_words(c)[:2] == ["mask", "rater"] for c in masks):
        told = "a rater's mask: used only where a recipe crops around it; name the one to learn `label`"
        return MediaColumns(found.images, None, {}, {**found.unused, **dict.fromkeys(masks, told)}, tuple(masks))
    structures = {c: name for c in masks if (name := _structure(c))}
    others = [c for c in masks if c not in structures]
    truths = [c for c in others if not _PREDICTED & set(_words(c))]
    if truths and (structures or len(truths) > 1):
        raise _which_label([*structures, *truths], table)
    if truths:
        return _labelled(found, truths[0], masks)
    unused = {**found.unused, **dict.fromkeys(others, "not used: a predicted mask; name it `label` if it is the truth")}
    if len(set(structures.values())) < len(structures):
        raise _which_label(list(structures), table)
    return MediaColumns(found.images, None, structures, unused)


def _labelled(found: MediaColumns, label: str, masks: Sequence[str]) -> MediaColumns:
    others = dict.fromkeys(
        (c for c in masks if c != label), f"a mask beside {label}: used only where a recipe crops around it"
    )
    return MediaColumns(found.images, label, {}, {**found.unused, **others}, tuple(others))


def _which_label(columns: Sequence[str], table: Path) -> BadInput:
    return BadInput(
        f"the columns {', '.join(columns)} hold masks, and each could be the label",
        table,
        "Name the right one `label`; with one map per structure, name them label_<structure>",
    )


def _refuse_image_masks(masks: Sequence[str], table: Path) -> None:
    odd = next((c for c in masks if _image_name(c) is not None), None)
    if odd is not None:
        raise BadInput(
            f"the column {odd} could be an input or the label",
            table,
            "Name it `label`; or, if a mask is meant as an input, image_<channel> with a name like image_prior",
        )


def _refuse_hidden_mask(rows: Sequence[Row], column: str, table: Path) -> None:
    """Ask about a column that is named like nothing known and holds what looks like a mask."""
    if _MODALITIES.fullmatch(_bare(column)) or plain(column) in _IMAGES:
        return
    cell = next(str(row[column]) for row in rows if not is_empty(row.get(column)))
    named = any(word in _MASK_WORDS for word in _words(split_ending(Path(cell.replace("\\", "/")).name)[0]))
    values = None if named else _mask_values(table.parent / cell.replace("\\", "/"))
    if named or values:
        why = f"files named like masks ({Path(cell).name})" if named else f"only the values {values}"
        raise BadInput(
            f"the column {column} may be an input or a mask: it holds {why}",
            table,
            f"Name it `label`, label_{column} for one structure, or image_{column} for an input",
        )


def _mask_values(path: Path) -> str:
    """The values of a file that looks like a mask (a few whole numbers from 0 up), as text; "" for others."""
    from voxloom.formats import read_volume

    try:
        return ", ".join(f"{v:g}" for v in few_values(read_volume(str(path)).data))
    except VoxloomError:
        return ""  # told when the case is read


def _holds_files(rows: Sequence[Row], column: str, table: Path) -> bool:
    """Whether cells name image files, or (under a name of images) anything with a path that is there."""
    cells = [str(row[column]) for row in rows if not is_empty(row.get(column))]
    if any(split_ending(cell)[1] for cell in cells):
        return True
    if _image_name(column) is None and not _is_mask(column):
        return False
    return column == "image" or any((table.parent / cell.replace("\\", "/")).exists() for cell in cells)


def _words(name: str) -> list[str]:
    """Parts of a name in small letters: ``LabelRater2`` and ``label_rater2`` give label, rater, 2."""
    return [w.lower() for w in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)]


def _bare(column: str) -> str:
    """The name without the parts that only say that cells are paths: ``mask_path`` -> ``mask``."""
    parts = re.split(r"[^0-9A-Za-z]+", column)
    kept = [part for part in parts if part.lower() not in _PATH_WORDS]
    if plain(column).endswith(("path", "file", "filename")) and kept == parts and len(parts) == 1:
        short = re.sub(r"(file_?)?(path|name|file)$", "", column, flags=re.IGNORECASE)
        return short or column
    if len(kept) > 1 and plain(kept[-1]) in ("image", "map", "volume", "img") and plain(kept[0]) in _MASK_WORDS:
        kept = kept[:-1]
    return "_".join(kept) if kept and kept != parts else column


def _is_mask(column: str) -> bool:
    words = [*_words(_bare(column)), plain(_bare(column))]
    return any(
        w in _MASK_WORDS or w in _PREDICTED or w in ("rater", "reader", "annotator") or w.endswith(("mask", "masks"))
        or re.fullmatch(r"(label|mask|seg|segmentation)s?\d+", w)
        for w in words
    )  # fmt: skip


def _image_name(column: str) -> str | None:
    """The channel of a column that says that it holds images; None of others."""
    bare = _bare(column)
    first, _, rest = bare.partition("_")
    if first.lower() in ("image", "img") and rest:
        return rest
    return "image" if plain(bare) in _IMAGES[:4] else None


def _structure(column: str) -> str:
    """``femur`` of ``label_femur``, ``femur_mask`` and ``FemurMask``; "" where the name holds no structure."""
    parts = [p for p in re.split(r"[^0-9A-Za-z]+", _bare(column)) if p]
    kept = [p for p in parts if p.lower() not in _MASK_WORDS]
    if kept == parts and len(parts) == 1:
        kept = [w for w in _words(parts[0]) if w not in _MASK_WORDS]
    words = [w for part in kept for w in _words(part)]
    if not words or all(w.isdigit() for w in words) or _READINGS & set(words) or kept == parts:
        return ""
    return "_".join(kept)
