"""Records `habeat demo` and writes docs/images/demo.svg, the picture in the README.

    python docs/images/demo_picture.py

It runs the real demo (about a minute) and keeps the screen as it was after each event. The picture
shows these frames in turn, by CSS alone, so it also plays where scripts are blocked. The host is
shown under a neutral name; everything else is as it happened.
"""

from __future__ import annotations

import importlib
import re
import sys
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console

from habeat.demo.screen import _drawn
from habeat.demo.stage import BEATS, Scene

PICTURE = Path(__file__).with_name("demo.svg")
COLUMNS, LINES = 100, 30
HOST = "localhost"
FRAME_S, LAST_FRAME_S = 2.0, 6.0

# Comments; fonts from elsewhere, which a picture may not load; one clip path a line; blank text.
_USELESS = [
    re.compile(pattern, re.DOTALL)
    for pattern in (
        r"<!--.*?-->",
        r"@font-face\s*\{.*?\}",
        r'<clipPath id="[^"]*-line-\d+">.*?</clipPath>',
        r' clip-path="url\(#[^"]*-line-\d+\)"',
        r"<text[^>]*>(?:&#160;|\s)*</text>",
    )
]


class Recorder:
    """A screen of the demo that keeps one frame for each event, and the last one."""

    def __init__(self) -> None:
        self.frames: list[Scene] = []
        self._seen = 0
        self._newest: Scene | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._newest is not None:
            self.frames.append(self._newest)

    def show(self, scene: Scene) -> None:
        """Keep what would be drawn if something has happened since the last frame."""
        if all(scene.states.get(name) == "stopped" for name in BEATS):
            return  # the demo is over and has ended its beats
        self._newest = _copy(scene)
        if len(scene.news) > self._seen and scene.view is not None:
            self._seen = len(scene.news)
            self.frames.append(self._newest)

    def news(self, scene: Scene, at_s: float, text: str) -> None:
        """Events are in the scene."""


def _copy(scene: Scene) -> Scene:
    return replace(
        scene,
        host=HOST,
        pids=dict(scene.pids),
        states=dict(scene.states),
        news=list(scene.news),
    )


def picture(frames: list[Scene]) -> str:
    """One SVG that shows the frames in turn; the last one stays where animation is off."""
    drawn = [_frame(scene, f"f{number}") for number, scene in enumerate(frames)]
    total_s = FRAME_S * (len(drawn) - 1) + LAST_FRAME_S
    opening = re.match(r"<svg[^>]*>", drawn[0])
    assert opening is not None
    rules, groups = [], []
    for number, text in enumerate(drawn):
        begin = 100 * FRAME_S * number / total_s
        last = number == len(drawn) - 1
        end = 100.0 if last else 100 * FRAME_S * (number + 1) / total_s
        steps = f"0%{{opacity:0}}{begin:.3f}%{{opacity:1}}{end:.3f}%{{opacity:0}}"
        if number == 0:
            steps = f"0%{{opacity:1}}{end:.3f}%{{opacity:0}}100%{{opacity:0}}"
        elif last:
            steps = f"0%{{opacity:0}}{begin:.3f}%{{opacity:1}}100%{{opacity:1}}"
        rules.append(f"@keyframes show{number}{{{steps}}}")
        shown = 1 if last else 0
        rules.append(
            f"#frame{number}{{opacity:{shown};"
            f"animation:show{number} {total_s:g}s step-end infinite}}"
        )
        inner = re.sub(r"^<svg[^>]*>|</svg>\s*$", "", text)
        groups.append(f'<g id="frame{number}">{inner}</g>')
    rules.append("@media(prefers-reduced-motion:reduce){[id^=frame]{animation:none!important}}")
    style = f"<style>{''.join(rules)}</style>"
    return f"{opening.group(0)}{style}{''.join(groups)}</svg>\n"


def _frame(scene: Scene, name: str) -> str:
    with open("/dev/null", "w") as nowhere:
        console = Console(
            file=nowhere,
            width=COLUMNS,
            height=LINES,
            record=True,
            force_terminal=True,
            color_system="truecolor",
        )
        console.print(_drawn(scene, LINES), end="")
        text = console.export_svg(title="habeat demo", unique_id=name)
    for useless in _USELESS:
        text = useless.sub("", text)
    return re.sub(r">\s+<", "><", text).strip()


def main() -> int:
    """Run the demo, and write the picture if it ended well; its exit status."""
    recorder = Recorder()
    demo = importlib.import_module(
        "habeat.demo.main"
    )  # the package exports a function of this name
    demo._terminal = lambda: recorder
    status = demo.main([])
    if status == 0:
        PICTURE.write_text(picture(recorder.frames))
        print(f"{PICTURE.name}: {len(recorder.frames)} frames, {PICTURE.stat().st_size} bytes")
    return status


if __name__ == "__main__":
    sys.exit(main())
