"""A chart of lateness as SVG: the last day in steps of ten minutes, and the worst entries.

The picture has no script and loads nothing. It follows the light or dark scheme of the reader, and
every mark has a title, which a browser shows beside the pointer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from xml.sax.saxutils import escape

from habeat.client import DriftPoint, DriftReport, DriftRow, LatenessFigures
from habeat.entries.spans import milliseconds
from habeat.printable import plural, printable

WIDTH, LEFT, RIGHT = 900, 110, 30
CHART_TOP, CHART_HEIGHT = 84, 240
ROW_HEIGHT, ROWS_SHOWN = 26, 12
NAME_MAX_CHARS = 28
#: The scale of lateness is logarithmic, between these.
LEAST_MS, TICKS_MS = 1, (1, 10, 100, 1_000, 10_000, 60_000, 600_000, 3_600_000, 86_400_000)
POINT = timedelta(minutes=10)
DAY = timedelta(days=1)

STYLE = """
  svg { --paper: #ffffff; --ink: #1f2328; --faint: #6e7781; --grid: #d8dee4;
        --p50: #0969da; --p90: #9a6700; --p99: #cf222e; --band: #0969da; }
  @media (prefers-color-scheme: dark) {
    svg { --paper: #0d1117; --ink: #e6edf3; --faint: #9198a1; --grid: #30363d;
          --p50: #58a6ff; --p90: #d29922; --p99: #ff7b72; --band: #58a6ff; } }
  text { font: 12px system-ui, sans-serif; fill: var(--ink); }
  .head { font-size: 16px; font-weight: 600; }
  .faint { fill: var(--faint); }
  .paper { fill: var(--paper); }
  .grid { stroke: var(--grid); stroke-width: 1; }
  .line { fill: none; stroke-width: 1.8; stroke-linejoin: round; stroke-linecap: round; }
  .band { fill: var(--band); opacity: 0.35; }
"""
SERIES: tuple[tuple[str, Callable[[LatenessFigures], int]], ...] = (
    ("p50", lambda figures: figures.p50_ms),
    ("p90", lambda figures: figures.p90_ms),
    ("p99", lambda figures: figures.p99_ms),
)


def drift_svg(report: DriftReport, title: str) -> str:
    """The picture as a text of SVG."""
    rows = [row for row in report.rows if row.day.count][:ROWS_SHOWN]
    height = CHART_TOP + CHART_HEIGHT + 70 + (44 + ROW_HEIGHT * len(rows) if rows else 0)
    scale = _Scale(_most_ms(report))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img">',
        f"<title>{_text(title)}</title>",
        f"<style>{STYLE}</style>",
        f'<rect class="paper" width="{WIDTH}" height="{height}"/>',
        *_head(report, title),
        *_grid(report, scale),
        *_lines(report, scale),
        *_bars(rows, CHART_TOP + CHART_HEIGHT + 70),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


class _Scale:
    """Heights of lateness in the chart, by the logarithm."""

    def __init__(self, most_ms: int) -> None:
        self.ticks_ms = [each for each in TICKS_MS if each <= most_ms] or [LEAST_MS]
        above = next((each for each in TICKS_MS if each >= most_ms), TICKS_MS[-1])
        self._span = math.log(max(above, 10) / LEAST_MS)
        if above not in self.ticks_ms:
            self.ticks_ms.append(above)

    def share(self, value_ms: int) -> float:
        """0 at the bottom, 1 at the top."""
        return min(1.0, math.log(max(value_ms, LEAST_MS) / LEAST_MS) / self._span)

    def y(self, value_ms: int) -> float:
        return CHART_TOP + CHART_HEIGHT * (1 - self.share(value_ms))


def _head(report: DriftReport, title: str) -> Iterator[str]:
    day = report.overall.day
    yield f'<text class="head" x="{LEFT}" y="28">{_text(title)}</text>'
    sums = f"last day: {plural(day.count, 'firing')}, {_in_words(day)}"
    yield f'<text class="faint" x="{LEFT}" y="48">{_text(sums)}</text>'
    x = LEFT
    for name, _ in SERIES:
        yield f'<line x1="{x}" x2="{x + 22}" y1="66" y2="66" class="line" stroke="var(--{name})"/>'
        yield f'<text x="{x + 28}" y="70">{name}</text>'
        x += 74
    yield f'<text class="faint" x="{x}" y="70">of each ten minutes, UTC; logarithmic</text>'


def _grid(report: DriftReport, scale: _Scale) -> Iterator[str]:
    right, bottom = WIDTH - RIGHT, CHART_TOP + CHART_HEIGHT
    for tick_ms in scale.ticks_ms:
        y = scale.y(tick_ms)
        yield f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
        label = milliseconds(tick_ms)
        yield f'<text class="faint" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'
    begin = report.at - DAY
    hour = begin.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    while hour <= report.at:
        if hour.hour % 3 == 0:
            x = _x(hour, report.at)
            yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{CHART_TOP}" y2="{bottom}"/>'
            yield (
                f'<text class="faint" x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">'
                f"{hour:%H:%M}</text>"
            )
        hour += timedelta(hours=1)


def _lines(report: DriftReport, scale: _Scale) -> Iterator[str]:
    """A line for each percentile; it is interrupted where nothing was sent."""
    for name, value in SERIES:
        for run in _runs(report.points):
            points = " ".join(
                f"{_x(point.begin + POINT / 2, report.at):.1f},{scale.y(value(point.figures)):.1f}"
                for point in run
            )
            shape = "polyline" if len(run) > 1 else ""
            if shape:
                yield f'<polyline class="line" stroke="var(--{name})" points="{points}"/>'
            for point in run:
                yield _dot(point, name, value(point.figures), report.at, scale)


def _dot(point: DriftPoint, name: str, value_ms: int, at: datetime, scale: _Scale) -> str:
    x, y = _x(point.begin + POINT / 2, at), scale.y(value_ms)
    title = f"{point.begin:%H:%M} UTC, {plural(point.figures.count, 'firing')}"
    title += f", {_in_words(point.figures)}"
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2" fill="var(--{name})">'
        f"<title>{_text(title)}</title></circle>"
    )


def _runs(points: Sequence[DriftPoint]) -> Iterator[list[DriftPoint]]:
    """The points in runs without a gap."""
    run: list[DriftPoint] = []
    for point in points:
        if run and point.begin - run[-1].begin > POINT:
            yield run
            run = []
        run.append(point)
    if run:
        yield run


def _bars(rows: Sequence[DriftRow], top: int) -> Iterator[str]:
    """The worst entries of the day: a bar from p50 to the maximum, with a mark at p99."""
    if not rows:
        return
    yield f'<text class="head" x="{LEFT}" y="{top}">Worst entries</text>'
    yield (
        f'<text class="faint" x="{LEFT + 140}" y="{top}">p50 to max of the last day, '
        "with a mark at p99</text>"
    )
    scale = _Scale(max(row.day.max_ms for row in rows))
    begin = LEFT + 130
    room = WIDTH - RIGHT - begin - 70
    for at, row in enumerate(rows):
        yield from _bar(row, scale, top + 16 + at * ROW_HEIGHT, begin, room)


def _bar(row: DriftRow, scale: _Scale, y: int, begin: int, room: int) -> Iterator[str]:
    name = printable(row.entry or "")
    brief = name if len(name) <= NAME_MAX_CHARS else name[: NAME_MAX_CHARS - 1] + "…"
    day = row.day
    left, mark, right = (
        begin + room * scale.share(each) for each in (day.p50_ms, day.p99_ms, day.max_ms)
    )
    title = f"{name}: {plural(day.count, 'firing')}, {_in_words(day)}"
    yield f"<g><title>{_text(title)}</title>"
    yield f'<text x="{begin - 10}" y="{y + 14}" text-anchor="end">{_text(brief)}</text>'
    width = max(2.0, right - left)
    yield (
        f'<rect class="band" x="{left:.1f}" y="{y + 4}" width="{width:.1f}" height="12" rx="2"/>'
    )
    yield (
        f'<line x1="{mark:.1f}" x2="{mark:.1f}" y1="{y + 2}" y2="{y + 18}" '
        'stroke="var(--p99)" stroke-width="2"/>'
    )
    label = milliseconds(day.max_ms)
    yield f'<text class="faint" x="{right + 8:.1f}" y="{y + 14}">{label}</text></g>'


def _x(at: datetime, end: datetime) -> float:
    share = 1 - (end - at) / DAY
    return LEFT + (WIDTH - RIGHT - LEFT) * min(1.0, max(0.0, share))


def _most_ms(report: DriftReport) -> int:
    return max((point.figures.p99_ms for point in report.points), default=LEAST_MS)


def _in_words(figures: LatenessFigures) -> str:
    named = (("p50", figures.p50_ms), ("p90", figures.p90_ms), ("p99", figures.p99_ms))
    parts = [f"{name} {milliseconds(value)}" for name, value in (*named, ("max", figures.max_ms))]
    return ", ".join(parts)


def _text(text: str) -> str:
    """Text for an element: no control characters, no markup."""
    return escape(printable(text))
