"""The demo without a terminal: one line for each event, and a summary every few seconds."""

from __future__ import annotations

from types import TracebackType
from typing import Self, TextIO

from habeat.demo.stage import Scene

_EVERY_S = 5.0


class Lines:
    """A `Screen` of plain lines."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._next_s = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing to restore."""

    def show(self, scene: Scene) -> None:
        """Print a summary every few seconds."""
        view = scene.view
        if view is None or not view.overall.count:
            return
        at_s = scene.elapsed_s(view.now_us)
        if at_s < self._next_s:
            return
        self._next_s = at_s + _EVERY_S
        late = view.overall
        self._line(
            at_s,
            f"   leader: {scene.leader or 'none'}; {view.enqueued} sent, {view.runs} run, "
            f"{view.repeated} run twice; lateness p50 {late.quantile_ms(0.5)} ms, "
            f"p99 {late.quantile_ms(0.99)} ms, max {late.max_ms} ms",
        )

    def news(self, scene: Scene, at_s: float, text: str) -> None:
        """Print an event."""
        self._line(at_s, text)

    def _line(self, at_s: float, text: str) -> None:
        print(f"{at_s:6.1f} s  {text}", file=self._out, flush=True)
