"""Small charts as inline SVG: no file, no script, readable when printed.

Knows scales, ticks and marks. Knows nothing of data sets. Text inherits the page's font and color.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape

from voxloom.report.style import ALERT, GRID, MARK, SOFT

_INK, _GRID, _MARK, _ALERT = SOFT, GRID, MARK, ALERT


@dataclass(frozen=True)
class Scale:
    """From values to pixels, linear or logarithmic; values beyond the ends are put on the end."""

    low: float
    high: float
    start: float
    stop: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Position of a value in pixels."""
        low, high, v = (_log10(x, self.low) if self.log else x for x in (self.low, self.high, value))
        share = 0.5 if high <= low else min(1.0, max(0.0, (v - low) / (high - low)))
        return round(self.start + share * (self.stop - self.start), 1)

    def ticks(self) -> list[float]:
        """Round values within the scale: powers of ten, or about five steps of 1, 2 or 5."""
        if self.log:
            first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
            powers = range(first, last + 1, max(1, -(-(last - first) // 6)))
            return [10.0**n for n in powers] or [self.low, self.high]
        if self.high <= self.low:
            return [self.low]
        step = _nice((self.high - self.low) / 5)
        return [n * step for n in range(math.ceil(self.low / step), math.floor(self.high / step + 1e-9) + 1)]


@dataclass(frozen=True)
class Range:
    """One case in a range chart: five increasing values and whether it needs attention."""

    name: str
    values: tuple[float, float, float, float, float]
    alert: bool = False


def range_chart(cases: Sequence[Range], title: str) -> Markup:
    """Gray scales of all cases side by side, ordered by their middle: whole range, middle half and median."""
    ordered = sorted(cases, key=lambda c: c.values[2])
    scale = _value_scale([v for c in ordered for v in c.values], 200, 12)
    width, left, right = 900, 78, 890
    pitch = (right - left) / max(1, len(ordered))
    thin, thick = max(0.6, min(2.0, pitch * 0.3)), max(1.2, min(9.0, pitch * 0.7))
    parts = _value_grid(scale, left, right)
    for n, case in enumerate(ordered):
        x = round(left + (n + 0.5) * pitch, 1)
        low, q1, middle, q3, high = (scale(v) for v in case.values)
        color = _ALERT if case.alert else _MARK
        parts.append(
            f'<g stroke="{color}"><title>{escape(case.name)}: {_number(case.values[0])} to {_number(case.values[4])}, '
            f"median {_number(case.values[2])}</title>"
            f'<path d="M{x} {low}V{high}" stroke-width="{thin:.1f}" opacity=".55"/>'
            f'<path d="M{x} {q1}V{q3}" stroke-width="{thick:.1f}" opacity=".75"/></g>'
            f'<rect x="{x - thick / 2:.1f}" y="{middle - 0.7:.1f}" width="{thick:.1f}" height="1.4" fill="#fff"/>'
        )
    parts.append(_text((left + right) / 2, 220, f"{len(ordered)} cases, ordered by their median", "middle"))
    return _svg(width, 226, title, parts)


def histogram_chart(
    histograms: Sequence[Sequence[int]], span: tuple[float, float], title: str, most: int = 150
) -> Markup:
    """Histograms of many cases over one another, as shares, with their median in bold; x in standard deviations."""
    counts = np.array(histograms, dtype=float)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    x = Scale(span[0], span[1], 50, 890)
    top = float(np.percentile(shares.max(axis=1), 95)) or 1.0
    y = Scale(0, top, 175, 10)
    centers = np.linspace(span[0], span[1], counts.shape[1] * 2 + 1)[1::2]
    parts = [
        f'<path d="M{x(t)} 10V175" stroke="{_GRID}"/>' + _text(x(t), 192, f"{t:g}", "middle") for t in range(-3, 6)
    ]
    for row in shares[:: max(1, -(-len(shares) // most))]:
        parts.append(
            f'<path d="{_line(centers, row, x, y)}" fill="none" stroke="{_MARK}" stroke-width=".7" opacity=".22"/>'
        )
    middle = np.median(shares, axis=0)
    parts.append(f'<path d="{_line(centers, middle, x, y)}" fill="none" stroke="#14202b" stroke-width="2"/>')
    parts.append(_text(470, 212, "standard deviations from the mean of the case", "middle"))
    return _svg(900, 218, title, parts)


def strip_chart(groups: Mapping[str, Sequence[float]], title: str, unit: str, colors: Sequence[str]) -> Markup:
    """One line of points per group, with the median; groups without positive values are left out."""
    kept = {name: np.array([v for v in values if v > 0]) for name, values in groups.items()}
    kept = {name: values for name, values in kept.items() if values.size}
    if not kept:
        return Markup("")
    row, left, right = 26, 210, 890
    height = row * len(kept)
    everything = np.concatenate(list(kept.values()))
    low, high = float(everything.min()) / 1.1, float(everything.max()) * 1.1
    x = Scale(low, high, left, right, log=high > 20 * low)
    parts = [
        f'<path d="M{x(t)} 4V{height + 4}" stroke="{_GRID}"/>' + _text(x(t), height + 20, _number(t), "middle")
        for t in x.ticks()
    ]
    for n, (name, values) in enumerate(kept.items()):
        y = 4 + row * (n + 0.5)
        parts.append(_text(left - 12, y + 4, name if len(name) < 28 else name[:26] + "…", "end"))
        shift = 7 * np.sin(np.arange(len(values)) * 2.4)
        color = colors[n % len(colors)]
        dots = "".join(f'<circle cx="{x(v)}" cy="{y + s:.1f}" r="2.4"/>' for v, s in zip(values, shift, strict=True))
        parts.append(f'<g fill="{color}" opacity=".6">{dots}</g>')
        parts.append(f'<path d="M{x(float(np.median(values)))} {y - 10:.0f}v20" stroke="#14202b" stroke-width="2"/>')
    parts.append(_text((left + right) / 2, height + 38, f"{unit}; the bar is the median", "middle"))
    return _svg(900, height + 44, title, parts)


def bar_chart(counts: dict[str, int], title: str) -> Markup:
    """Horizontal bars with their numbers."""
    row, left = 26, 210
    x = Scale(0, max(counts.values(), default=1), left, 820)
    parts = []
    for n, (name, count) in enumerate(counts.items()):
        y = row * n
        parts.append(_text(left - 12, y + 18, name if len(name) < 28 else name[:26] + "…", "end"))
        width = max(1.0, x(count) - left)
        parts.append(f'<rect x="{left}" y="{y + 5}" width="{width:.1f}" height="16" fill="{_MARK}" opacity=".8"/>')
        parts.append(_text(left + width + 8, y + 18, f"{count}", "start"))
    return _svg(900, row * len(counts) + 6, title, parts)


def _value_scale(values: Sequence[float], bottom: float, top: float) -> Scale:
    """Linear, or logarithmic where values differ by more than a factor of 200 and are not negative."""
    low, high = min(values), max(values)
    positive = [v for v in values if v > 0]
    if low >= 0 and positive and high > 200 * float(np.median(positive)) / 2:
        floor = max(min(positive), high * 1e-7)
        return Scale(floor, high * 1.2, bottom, top, log=True)
    return Scale(low, high, bottom, top)


def _value_grid(scale: Scale, left: float, right: float) -> list[str]:
    return [
        f'<path d="M{left} {scale(t)}H{right}" stroke="{_GRID}"/>' + _text(left - 8, scale(t) + 4, _number(t), "end")
        for t in scale.ticks()
    ]


def _line(xs: Sequence[float] | np.ndarray, ys: np.ndarray, x: Scale, y: Scale) -> str:
    return "M" + "L".join(f"{x(float(a))} {y(float(b))}" for a, b in zip(xs, ys, strict=True))


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" fill="{_INK}" font-size="12.5">{escape(text)}</text>'


def _svg(width: int, height: int, title: str, parts: Sequence[str]) -> Markup:
    return Markup(
        f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">'
        f"{''.join(parts)}</svg>"
    )


def _number(value: float) -> str:
    if value and (abs(value) >= 1e6 or abs(value) < 1e-2):
        mantissa, exponent = f"{value:.1e}".split("e")
        return f"{float(mantissa):g}e{int(exponent)}"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _log10(value: float, floor: float) -> float:
    return math.log10(max(value, floor))


def _nice(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= step * 0.999)
