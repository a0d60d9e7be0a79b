"""The test's side of the failpoints: give a running beat an order, and see it carried out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from tests.support.servers.children import until
from tests.support.servers.processes import CeleryProcess
from tests.system.chaos.failpoints import put
from tests.verification.history.events import Fault, Kind


def of_monotonic_us(moment_us: int) -> int:
    """A moment of the monotonic clock, which all processes of the machine share, by this one's
    wall clock; that of a beat may be stepped."""
    return moment_us + (time.time_ns() - time.monotonic_ns()) // 1_000


@dataclass
class Orders:
    """The folder that all beats of a fleet look into."""

    folder: Path

    def give(self, beat: CeleryProcess, order: str) -> None:
        """From now on; the one before is forgotten."""
        self._file(beat, ".hit").unlink(missing_ok=True)
        put(self._file(beat), order)

    def take_back(self, beat: CeleryProcess) -> None:
        self._file(beat).unlink(missing_ok=True)

    def hit_us(self, beat: CeleryProcess) -> int:
        """When the order was carried out, 0 if it was not yet."""
        try:
            return of_monotonic_us(int(self._file(beat, ".hit").read_text()))
        except FileNotFoundError:
            return 0

    def nonce(self, beat: CeleryProcess, timeout_s: float = 30) -> str:
        """By which the beat is known in Redis; waits until it has said so."""
        path = self._file(beat, ".nonce")
        until(path.exists, timeout_s, lambda: f"{beat.name} has a nonce; it said\n{beat.log()}")
        return path.read_text()

    def unanswered(self) -> list[Fault]:
        """The calls of any beat that got no answer, caused by the test or not."""
        found = []
        for path in self.folder.glob("*.unanswered"):
            nonce = path.with_suffix(".nonce").read_text()
            for line in path.read_text().splitlines():
                what, asked_us, over_us = line.split()
                found.append(
                    Fault(
                        Kind.CONFIRM_LOST if what == "broker" else Kind.LOST_REQUEST,
                        of_monotonic_us(int(asked_us)),
                        of_monotonic_us(int(over_us)),
                        nonce,
                    )
                )
        return found

    def _file(self, beat: CeleryProcess, suffix: str = "") -> Path:
        return self.folder / f"{beat.pid}{suffix}"
