"""Curves as SVG, in a few lines: no library, the same file from the same data.

Every curve has its colour and its name at the right; both axes may be logarithmic. Points that
cannot be drawn (infinite, or not positive on a logarithmic axis) are left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 760, 400
LEFT, RIGHT, TOP, BOTTOM = 70, 190, 36, 48
COLOURS = ("#0b6e4f", "#c1121f", "#1d4e89", "#e08e0b", "#6a4c93", "#3a86a8", "#7f5539", "#777777")

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Axis:
    """From data to pixels."""

    low: float
    high: float
    start: float
    end: float
    log: bool

    def at(self, value: float) -> float:
        low, high, here = self.low, self.high, value
        if self.log:
            low, high, here = math.log10(low), math.log10(high), math.log10(value)
        return self.start + (here - low) / ((high - low) or 1) * (self.end - self.start)

    def ticks(self) -> list[float]:
        if self.log:
            first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
            return [10.0**k for k in range(first, last + 1) if self.low <= 10.0**k <= self.high]
        step = 10 ** math.floor(math.log10((self.high - self.low) or 1))
        while (self.high - self.low) / step < 4:
            step /= 2
        first = math.ceil(self.low / step)
        return [k * step for k in range(first, math.floor(self.high / step) + 1)]


def chart(
    title: str,
    x_label: str,
    y_label: str,
    curves: Mapping[str, Points],
    *,
    log_x: bool = False,
    log_y: bool = False,
) -> str:
    """One SVG document with all the curves."""
    shown = {name: _drawable(points, log_x, log_y) for name, points in curves.items()}
    every = [point for points in shown.values() for point in points]
    if not every:
        every = [(1.0, 1.0)]
    x = _axis([p[0] for p in every], LEFT, WIDTH - RIGHT, log_x)
    y = _axis([p[1] for p in every], HEIGHT - BOTTOM, TOP, log_y)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        _text(LEFT, 20, title, "start", 14),
        *_grid(x, y),
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, x_label, "middle"),
        _text(LEFT, TOP - 4, y_label, "end", 11),
    ]
    for i, (name, points) in enumerate(shown.items()):
        parts += _curve(name, points, x, y, i)
    return "\n".join([*parts, "</svg>", ""])


def _drawable(points: Points, log_x: bool, log_y: bool) -> list[tuple[float, float]]:
    return [
        (px, py)
        for px, py in points
        if math.isfinite(px) and math.isfinite(py)
        if (px > 0 or not log_x) and (py > 0 or not log_y)
    ]


def _axis(values: Sequence[float], start: float, end: float, log: bool) -> Axis:
    low, high = min(values), max(values)
    if log:
        low, high = 10 ** math.floor(math.log10(low)), 10 ** math.ceil(math.log10(high))
        return Axis(low, high if high > low else low * 10, start, end, log)
    low = min(0.0, low)
    return Axis(low, high if high > low else low + 1, start, end, log)


def _grid(x: Axis, y: Axis) -> list[str]:
    lines = []
    for tick in x.ticks():
        at = x.at(tick)
        lines.append(_line(at, y.start, at, y.end))
        lines.append(_text(at, y.start + 16, f"{tick:,.6g}", "middle"))
    for tick in y.ticks():
        at = y.at(tick)
        lines.append(_line(x.start, at, x.end, at))
        lines.append(_text(x.start - 6, at + 4, f"{tick:,.6g}", "end"))
    return lines


def _curve(name: str, points: Points, x: Axis, y: Axis, i: int) -> list[str]:
    colour = COLOURS[i % len(COLOURS)]
    places = [f"{x.at(px):.1f},{y.at(py):.1f}" for px, py in points]
    drawn = f'<polyline points="{" ".join(places)}" fill="none" stroke="{colour}" '
    marks = [
        f'<circle cx="{place.split(",")[0]}" cy="{place.split(",")[1]}" r="2.5" fill="{colour}"/>'
        for place in (places if len(places) <= 12 else places[-1:])
    ]
    label_y = TOP + 8 + 18 * i
    at = WIDTH - RIGHT + 12
    return [
        f'{drawn}stroke-width="2"/>',
        *marks,
        f'<rect x="{at}" y="{label_y - 9}" width="10" height="10" fill="{colour}"/>',
        _text(at + 16, label_y, name, "start"),
    ]


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#dddddd"/>'


def _text(x: float, y: float, text: str, anchor: str, size: int = 12) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">'
        f"{escape(text)}</text>"
    )
