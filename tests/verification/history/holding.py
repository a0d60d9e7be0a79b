"""The holds of the schedule, as they are written, and what they forbid."""

from __future__ import annotations

from dataclasses import dataclass, field

from habeat.core.controls import controls_of
from habeat.core.holds import Holds
from tests.verification.history.case import Case
from tests.verification.history.events import Words

#: A leader's idea of the server's time is behind by a reply's way.
BEHIND_MS = 2_500


@dataclass(slots=True)
class Holding:
    """Follows :controls."""

    case: Case
    fields: dict[str, str] = field(default_factory=dict)
    holds: Holds = field(default_factory=Holds)

    def written(self, words: Words) -> None:
        """HSET controls."""
        for name, value in zip(words[2::2], words[3::2], strict=True):
            self.fields[name.decode()] = value.decode()
        self.holds = controls_of("", self.fields).holds

    def removed(self, words: Words) -> None:
        """HDEL controls."""
        for name in words[2:]:
            self.fields.pop(name.decode(), None)
        self.holds = controls_of("", self.fields).holds

    def forgotten(self) -> None:
        """Redis has lost its data, and what it has now is not known yet."""
        self.fields.clear()
        self.holds = Holds()

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
        found = [holds.held(last_ms, due_ms, at_ms) for at_ms in (now_ms, now_ms - BEHIND_MS)]
        return "" if any(each and each.reason == reason for each in found) else "and it is not held"
