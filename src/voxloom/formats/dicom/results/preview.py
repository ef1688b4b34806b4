"""A picture of what was found, as Secondary Capture, for viewers that show neither segmentations nor reports.

Knows tiles of slices with outlines and marks, a legend, and the note that it is not a diagnosis, burned in. No name of a patient is.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.formats.dicom.results.colors import color_of
from voxloom.formats.dicom.results.contours import rings
from voxloom.formats.dicom.results.source import SourceSeries
from voxloom.formats.dicom.results.terms import Author, Color, Findings, Segment
from voxloom.formats.dicom.results.write import begun, refused, saved
from voxloom.volume import spacing_of

_CLASS = "1.2.840.10008.5.1.4.1.1.7"
_NUMBER = 906
_TILE, _TILES, _ACROSS, _LINE = 320, 12, 4, 18
_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)


def write_preview(
    image: NDArray[Any],
    findings: Findings,
    segments: Sequence[Segment],
    source: SourceSeries,
    path: Path,
    author: Author,
) -> Path:
    """Write one picture of at most 12 slices.

    Parameters
    ----------
    image : (I, J, K), what the slices show.
    findings : its mask is outlined, its marks are ringed, its statements and figures of the whole scan are written.
    """
    picture = draw(image, findings, segments, source, author)
    with refused(source.where, "picture"):
        dataset = begun(source, author, _CLASS, "OT", _NUMBER, "Preview", [one.name for one in segments])
        dataset.ConversionType, dataset.ImageType = "WSD", ["DERIVED", "SECONDARY"]
        dataset.BurnedInAnnotation, dataset.LossyImageCompression = "YES", "00"
        dataset.DerivationDescription = author.note
        dataset.ContentDate, dataset.ContentTime = dataset.InstanceCreationDate, dataset.InstanceCreationTime
        dataset.PatientOrientation = dataset.Laterality = ""
        dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = picture.shape[0], picture.shape[1], 3
        dataset.PhotometricInterpretation, dataset.PlanarConfiguration = "RGB", 0
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
        dataset.PixelData = picture.tobytes()
        return saved(dataset, path)


def draw(
    image: NDArray[Any], findings: Findings, segments: Sequence[Segment], source: SourceSeries, author: Author
) -> NDArray[np.uint8]:
    """The picture, (rows, columns, 3)."""
    from PIL import Image, ImageDraw

    shown = _slices(findings, source, image.shape[2])
    gray = _gray(image, source)
    tiles = [_tile(gray[:, :, k], k, findings, segments, source) for k in shown]
    high = max(tile.height for tile in tiles)
    across = min(_ACROSS, len(tiles))
    lines = _lines(findings, segments, author)
    rows = -(-len(tiles) // across)
    whole = Image.new("RGB", (max(across, 2) * _TILE, rows * high + _LINE * len(lines) + 8), _BLACK)
    for n, tile in enumerate(tiles):
        whole.paste(tile, (n % across * _TILE, n // across * high))
    pen = ImageDraw.Draw(whole)
    for n, (text, color) in enumerate(lines):
        pen.text((6, rows * high + 4 + n * _LINE), text, fill=color, font=_font(13))
    return np.asarray(whole)


def _lines(findings: Findings, segments: Sequence[Segment], author: Author) -> list[tuple[str, Color]]:
    """Title, legend and answers below the slices."""
    version = f", weights {author.version[:12]}" if author.version else ""
    lines: list[tuple[str, Color]] = [(f"{author.says}. {author.name}{version}", _WHITE)]
    lines += [(f"{name}: {value}", _WHITE) for name, value in author.parameters]
    present = set(np.unique(findings.mask).tolist()) if findings.mask is not None else set()
    lines += [(one.name, _color(one)) for one in segments if one.value in present][:12]
    for said in findings.statements:
        sure = "" if said.probability is None else f" ({said.probability:.2f})"
        lines.append((f"{said.name}: {said.answer}{sure} {said.note}".rstrip(), _WHITE))
    for figure in (one for one in findings.figures if not one.label):
        ends = "" if figure.low is None or figure.high is None else f" [{figure.low:.4g}, {figure.high:.4g}]"
        unit = "" if figure.unit == "1" else f" {figure.unit}"
        lines.append((f"{figure.name}: {figure.value:.4g}{ends}{unit}", _WHITE))
    return lines


def _color(segment: Segment) -> Color:
    return segment.meaning.color or color_of(segment.value)


def _slices(findings: Findings, source: SourceSeries, count: int) -> list[int]:
    """Slices with something to show, spread over all of them; the middle one where there is nothing."""
    marked = {k for *_, k in (_voxel(mark.position, source) for mark in findings.marks) if 0 <= round(k) < count}
    with_marks = sorted({round(k) for k in marked})
    outlined = [] if findings.mask is None else np.flatnonzero(findings.mask.any(axis=(0, 1))).tolist()
    wanted = sorted({*with_marks, *outlined}) or [count // 2]
    if len(wanted) <= _TILES:
        return wanted
    return [wanted[n] for n in np.linspace(0, len(wanted) - 1, _TILES).round().astype(int)]


def _gray(image: NDArray[Any], source: SourceSeries) -> NDArray[np.uint8]:
    """Gray levels: the window of the header, else between the 0.5th and the 99.5th percentile."""
    center, width = (_first(source.header.get(key)) for key in ("WindowCenter", "WindowWidth"))
    if center is not None and width is not None and width > 1:
        low, high = center - width / 2, center + width / 2
    else:
        some = image[:: max(1, image.shape[0] // 64), :: max(1, image.shape[1] // 64)]
        low, high = (float(v) for v in np.percentile(some, [0.5, 99.5]))
    scaled = (image.astype(np.float32) - low) / max(high - low, 1e-6)
    return (np.clip(scaled, 0, 1) * 255).astype(np.uint8)


def _first(value: Any) -> float | None:
    try:
        return float(value[0] if hasattr(value, "__len__") and not isinstance(value, str) else value)
    except (TypeError, ValueError, IndexError):
        return None


def _tile(
    plane: NDArray[np.uint8], k: int, findings: Findings, segments: Sequence[Segment], source: SourceSeries
) -> Any:
    """One slice in true proportions, with what was found in it."""
    from PIL import Image, ImageDraw

    i, j = plane.shape
    x, y, _ = spacing_of(source.affine)
    scale = _TILE / max(i * x, j * y)
    size = (max(1, round(i * x * scale)), max(1, round(j * y * scale)))
    tile = Image.new("RGB", (_TILE, max(size[1], 1)), _BLACK)
    tile.paste(Image.fromarray(plane.T).resize(size, Image.Resampling.BILINEAR).convert("RGB"))
    pen, per = ImageDraw.Draw(tile), np.array([size[0] / i, size[1] / j])
    for segment in segments if findings.mask is not None else ():
        assert findings.mask is not None
        for points in (ring for piece in rings(findings.mask[:, :, k] == segment.value) for ring in piece):
            way = [tuple(p) for p in ((points + 0.5) * per).tolist()]
            pen.line([*way, way[0]], fill=_color(segment), width=2)
    for n, mark in enumerate(findings.marks):
        a, b, c = _voxel(mark.position, source)
        if round(c) == k:
            at = (np.array([a, b]) + 0.5) * per
            pen.ellipse([*(at - 4).tolist(), *(at + 4).tolist()], outline=color_of(n + 1), width=2)
            pen.text((at + 6).tolist(), mark.name, fill=color_of(n + 1), font=_font(12))
    pen.text((4, 2), f"slice {k + 1}", fill=_WHITE, font=_font(12))
    return tile


def _voxel(position: tuple[float, float, float], source: SourceSeries) -> tuple[float, float, float]:
    i, j, k = (np.linalg.inv(source.affine) @ [*position, 1.0])[:3].tolist()
    return i, j, k


def _font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size)
