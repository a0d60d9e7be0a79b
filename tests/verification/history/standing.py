"""Whether an entry is paused, set aside or refused, and when that last changed."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from tests.verification.history.case import Case
from tests.verification.history.events import Words


@dataclass(frozen=True, slots=True)
class Pause:
    """until_ms: by the server's clock; None: until a client ends it."""

    until_ms: int | None
    #: When it was written.
    since_us: int


@dataclass(frozen=True, slots=True)
class OpenCircuit:
    """When it was opened, and until when no slot is sent, by the server's clock."""

    since_us: int
    probe_ms: int


@dataclass(slots=True)
class Standing:
    """Follows :paused, :quarantine and :circuits."""

    case: Case
    paused: dict[str, Pause] = field(default_factory=dict)
    aside: set[str] = field(default_factory=set)
    circuits: dict[str, OpenCircuit] = field(default_factory=dict)
    #: Pauses that were lifted in the script that runs.
    lifted: dict[str, Pause] = field(default_factory=dict)
    #: The same of what had been set aside.
    mended: set[str] = field(default_factory=set)
    #: When an entry was last defined, paused, resumed, set aside or mended.
    touched_us: dict[str, int] = field(default_factory=dict)
    #: Pauses that were lifted after their end: entry, when they ended, when they were lifted.
    over: list[tuple[str, int, int]] = field(default_factory=list)

    def touched(self, entry: str) -> None:
        self.touched_us[entry] = self.case.at_us

    def pauses(self, words: Words) -> None:
        """HSET paused."""
        for name, raw in zip(words[2::2], words[3::2], strict=True):
            entry = name.decode()
            self.paused[entry] = Pause(_until_ms(raw), self.case.at_us)
            self.touched(entry)

    def resumes(self, words: Words) -> None:
        """HDEL paused."""
        for entry in map(bytes.decode, words[2:]):
            found = self.paused.pop(entry, None)
            if found is not None:
                self.lifted[entry] = found
                self.touched(entry)
                over_us = self.ended_us(found)
                if over_us is not None and over_us < self.case.at_us:
                    self.over.append((entry, over_us, self.case.at_us))

    def sets_aside(self, words: Words) -> None:
        """HSET quarantine."""
        for entry in map(bytes.decode, words[2::2]):
            self.aside.add(entry)
            self.touched(entry)

    def mends(self, words: Words) -> None:
        """HDEL quarantine."""
        for entry in map(bytes.decode, words[2:]):
            if entry in self.aside:
                self.aside.discard(entry)
                self.mended.add(entry)
                self.touched(entry)

    def circuit_opens(self, words: Words) -> None:
        """HSET circuits; also when its next probe is put off."""
        for name, raw in zip(words[2::2], words[3::2], strict=True):
            entry, known = name.decode(), self.circuits.get(name.decode())
            since_us = self.case.at_us if known is None else known.since_us
            self.circuits[entry] = OpenCircuit(since_us, _probe_ms(raw))

    def circuit_closes(self, words: Words) -> None:
        """HDEL circuits."""
        for name in words[2:]:
            self.circuits.pop(name.decode(), None)

    def ended_us(self, pause: Pause) -> int | None:
        """When a pause is over by itself, by the clock of `at_us`."""
        if pause.until_ms is None:
            return None
        since_us = pause.until_ms * 1_000 - (self.case.server_us - self.case.walked_us)
        return max(since_us, pause.since_us)

    def pause_of(self, entry: str) -> Pause | None:
        """The pause that is in force, or was until this script."""
        return self.paused.get(entry) or self.lifted.get(entry)

    def was_aside(self, entry: str) -> bool:
        return entry in self.aside or entry in self.mended

    def script_ended(self) -> None:
        if self.lifted:
            self.lifted.clear()
        if self.mended:
            self.mended.clear()

    def forgotten(self) -> None:
        """Data was lost, or the recorder had a gap."""
        self.paused.clear()
        self.aside.clear()
        self.circuits.clear()
        self.script_ended()


def _probe_ms(raw: bytes) -> int:
    try:
        found = json.loads(raw)["probe_ms"]
    except (ValueError, TypeError, KeyError):
        return 0
    return found if isinstance(found, int) else 0


def _until_ms(raw: bytes) -> int | None:
    try:
        found = json.loads(raw).get("until_ms")
    except (ValueError, AttributeError):
        return None
    return found if isinstance(found, int) else None
