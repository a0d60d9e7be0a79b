"""The holds of the schedule, as they are stored, and what they forbid."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from habeat.core.controls import controls_of
from habeat.core.entry import Entry
from habeat.core.holds import Holds, Window
from tests.verification.history.case import Case
from tests.verification.history.events import Words

#: A leader's estimate of the server's time is behind by the time that a reply takes.
BEHIND_MS = 2_500
#: A window shorter than this could be overlooked.
STEP_MS = 20
#: Later than any event.
FAR_US = 1 << 62

Interval = tuple[int, int]


@dataclass(slots=True)
class Stored:
    """A window whose newest slot waits for its end: from when to when it was stored."""

    window: Window
    at_us: int
    server_us: int
    removed_us: int = FAR_US


@dataclass(slots=True)
class Holding:
    """Follows :controls."""

    case: Case
    fields: dict[str, str] = field(default_factory=dict)
    holds: Holds = field(default_factory=Holds)
    #: All windows with `latest` that have ever been stored.
    stored: list[Stored] = field(default_factory=list)

    def written(self, words: Words) -> None:
        """HSET controls."""
        for name, value in zip(words[2::2], words[3::2], strict=True):
            self.fields[name.decode()] = value.decode()
        self._read()

    def removed(self, words: Words) -> None:
        """HDEL controls."""
        for name in words[2:]:
            self.fields.pop(name.decode(), None)
        self._read()

    def forgotten(self) -> None:
        """Redis has lost its data, and what it has now is not known yet."""
        self.fields.clear()
        self._read()

    def _read(self) -> None:
        case = self.case
        self.holds = controls_of("", self.fields).holds
        present = [each for each in self.holds.windows.values() if each.latest]
        open_now = [each for each in self.stored if each.removed_us == FAR_US]
        for each in open_now:
            if each.window not in present:
                each.removed_us = case.at_us
        known = [each.window for each in open_now]
        new = (each for each in present if each not in known)
        self.stored += [Stored(each, case.at_us, case.server_us) for each in new]

    def waits(self, entry: Entry) -> list[Interval]:
        """When due slots of this entry waited for the end of a window."""
        concerned = (each for each in self.stored if each.window.concerns(entry))
        return [span for each in concerned for span in self._spans(each)]

    def _spans(self, stored: Stored) -> Iterator[Interval]:
        """The time of each window, as the checker counts time: the server's clock may step."""
        for from_us, to_us, ahead_us in self._segments(stored):
            at_ms = max(stored.window.from_ms, (from_us + ahead_us) // 1_000)
            while at_ms * 1_000 - ahead_us < to_us:
                end_ms = stored.window.end_of(at_ms)
                if end_ms is None:
                    following_ms = stored.window.next_begin_ms(at_ms)
                    if following_ms is None:
                        break
                    at_ms = following_ms
                    continue
                start_us, end_us = at_ms * 1_000 - ahead_us, end_ms * 1_000 - ahead_us
                yield max(from_us, start_us), min(to_us, end_us)
                at_ms = end_ms

    def _segments(self, stored: Stored) -> Iterator[tuple[int, int, int]]:
        """From when to when the server's clock ran evenly, and how far ahead of ours it was."""
        case = self.case
        steps = sorted([*case.leaps, *((at_us, -by_us) for at_us, by_us in case.setbacks)])
        last_us = min(stored.removed_us, case.ends_us)
        from_us, ahead_us = stored.at_us, stored.server_us - stored.at_us
        for at_us, by_us in steps:
            if stored.at_us < at_us < last_us:
                yield from_us, at_us, ahead_us
                from_us, ahead_us = at_us, ahead_us + by_us
        yield from_us, last_us, ahead_us

    def check_claim(self, entry: str, identity: str) -> None:
        """Nothing is claimed in a pause of the schedule; no slot, in a window that it is due in."""
        case = self.case
        now_ms = case.server_us // 1_000
        if self.holds.pause_at(now_ms) is not None:
            case.wrong("hold", "claimed while the schedule was paused", entry, identity)
        definition = case.definitions.get(entry)
        if definition is None or "#" in identity:
            return
        due_ms = case.effective_ms(entry, int(identity))
        for held in self.holds.of(definition).due_in(due_ms):
            if not held.latest or now_ms < held.until_ms:
                case.wrong("hold", f"claimed, and it is held ({held.reason})", entry, identity)

    def why_not_skipped(self, entry: str, last_ms: int, reason: str) -> str:
        """What is wrong with a record of slots that are said to be held; "" if nothing is."""
        case = self.case
        definition = case.definitions.get(entry)
        if definition is None:
            return ""
        holds, now_ms = self.holds.of(definition), case.server_us // 1_000
        due_ms = case.effective_ms(entry, last_ms)
        planned = range(now_ms - BEHIND_MS, now_ms + 1, STEP_MS)
        # A run of slots has one reason, also where two holds overlap.
        is_held = any(reason in holds.reasons_at(last_ms, at_ms) for at_ms in (due_ms, *planned))
        return "" if is_held else "and it is not held"
