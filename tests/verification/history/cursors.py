"""I4, and which slots there were: the lives of entries, and the ground that their cursors cover.

A life of an entry begins with the first cursor that is seen of it in a history of Redis, and ends
with its removal or with a loss of data. Wherever its cursor passes, every slot of the schedule in
force must be accounted for; accounts.py does the sum at the end.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from habeat.core.entry import Entry
from tests.verification.history.case import Case, cursor_of, definition_of
from tests.verification.history.events import Words
from tests.verification.history.standing import Standing


@dataclass(slots=True)
class Record:
    """A ledger record of slots that were not claimed: a run, or one."""

    at_us: int
    #: When the first of its slots was, by the clock of `at_us`.
    since_us: int
    first_ms: int
    last_ms: int
    count: int
    outcome: str
    reason: str
    #: When its entry had last been changed.
    touched_us: int = 0
    #: When the circuit was opened that it names, 0 if it names none.
    circuit_us: int = 0


@dataclass(slots=True)
class Span:
    """Slots after `from_ms` up to `to_ms` are those of one definition (None: not known)."""

    from_ms: int
    to_ms: int
    definition: Entry | None


@dataclass(slots=True)
class Life:
    """One entry from its first cursor to its last."""

    entry: str
    #: By the server's clock.
    began_us: int = 0
    cursor_ms: int | None = None
    spans: list[Span] = field(default_factory=list)
    claims: list[int] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    #: The definition in force up to the next cursor, if another has been written since.
    old: Entry | None = None
    redefined: bool = False
    fired: bytes = b"0"
    #: When its cursor was last written.
    moved_us: int = 0
    #: There was no definition of it before the present script.
    was_gone: bool = False
    #: The definition that was last written over could not be read.
    was_unreadable: bool = False

    @property
    def fired_count(self) -> int:
        """How often it has fired, as :state has it."""
        return int(self.fired.rpartition(b"|")[2])


class Cursors:
    """Follows :entries and :state."""

    def __init__(self, case: Case, standing: Standing) -> None:
        self._case = case
        self._standing = standing
        self.now: dict[str, Life] = {}
        #: Entries that have a definition.
        self.there: set[str] = set()
        self.lives: list[Life] = []
        #: The entry whose definition was written in this script, and its state not yet.
        self._written = ""
        self._placed = False

    # -- definitions --------------------------------------------------------------------------

    def defined(self, words: Words) -> None:
        """HSET entries."""
        for name, raw in zip(words[2::2], words[3::2], strict=True):
            entry = name.decode()
            life = self.now.get(entry)
            if life is not None and not life.redefined:
                life.redefined, life.old = True, self._case.definitions.get(entry)
                life.was_gone = entry not in self.there
            if life is not None:
                known = entry in self.there
                life.was_unreadable = known and self._case.definitions.get(entry) is None
            self.there.add(entry)
            self._standing.touched(entry)
            self._case.definitions[entry] = definition_of(entry, raw)
            self._written, self._placed = entry, False

    def undefined(self, words: Words) -> None:
        """HDEL entries: a renaming, if it stands between the definition and its state."""
        self.there.difference_update(map(bytes.decode, words[2:]))
        if self._placed:
            self._written = ""

    def script_ended(self) -> None:
        """The next write belongs to another action."""
        self._written = ""

    # -- cursors ------------------------------------------------------------------------------

    def moved(self, words: Words) -> None:
        """HSET state."""
        for name, raw in zip(words[2::2], words[3::2], strict=True):
            entry = name.decode()
            life = self.now.get(entry)
            if life is None:
                life = self.lived(entry)
            cursor_ms = cursor_of(raw)
            if life.cursor_ms is not None:
                if cursor_ms < life.cursor_ms:
                    back_ms = life.cursor_ms - cursor_ms
                    self._case.wrong("I4", f"its cursor went back by {back_ms} ms", entry)
                elif cursor_ms > life.cursor_ms:
                    self._cover(life, cursor_ms)
            life.cursor_ms, life.redefined = cursor_ms, False
            life.fired, life.moved_us = raw, self._case.at_us
            life.was_gone = False
        self._placed = True

    def lived(self, entry: str) -> Life:
        """The present life of an entry, begun if there is none."""
        life = self.now.get(entry)
        if life is None:
            life = self.now[entry] = Life(entry, self._case.server_us)
            self.lives.append(life)
        return life

    def _cover(self, life: Life, to_ms: int) -> None:
        """Note that the cursor moves over a span, and whose slots are in it."""
        assert life.cursor_ms is not None
        definition = life.old if life.redefined else self._case.definitions.get(life.entry)
        if definition is not None and definition.max_runs is not None and _spent(definition, life):
            return
        last = life.spans[-1] if life.spans else None
        if last is not None and last.to_ms == life.cursor_ms and last.definition is definition:
            last.to_ms = to_ms
        else:
            life.spans.append(Span(life.cursor_ms, to_ms, definition))

    def claimed(self, entry: str, slot_ms: int) -> None:
        """A slot was claimed; its cursor must have passed it in the same script."""
        life = self.lived(entry)
        life.claims.append(slot_ms)
        if life.cursor_ms is None or life.cursor_ms < slot_ms:
            problem = f"claimed, and the cursor stands at {life.cursor_ms}"
            self._case.wrong("I4", problem, entry, str(slot_ms))

    # -- ends ---------------------------------------------------------------------------------

    def ended(self, words: Words) -> None:
        """HDEL state: the entry is removed, or has another name now."""
        for name in words[2:]:
            entry = name.decode()
            life = self.now.pop(entry, None)
            if life is None or life.cursor_ms is None:
                continue
            heir = self.now.get(self._written)
            if heir is None:
                self._cover_removal(life)
            elif heir.cursor_ms != life.cursor_ms:
                problem = f"renamed to {heir.entry}, and its cursor is {heir.cursor_ms} there"
                self._case.wrong("I4", problem, entry, str(life.cursor_ms))

    def _cover_removal(self, life: Life) -> None:
        """What was due when its removal began must be in the ledger."""
        assert life.cursor_ms is not None
        slack_us = self._case.expectation.edit_slack_us
        # It takes effect when its author read the entry, which was before the clock jumped.
        leapt_us = sum(by for at, by in self._case.leaps if at >= self._case.at_us - slack_us)
        begun_us = self._case.server_us - slack_us - leapt_us
        last_ms = max((record.last_ms for record in life.records), default=0)
        to_ms = max(begun_us // 1_000, last_ms)
        if to_ms > life.cursor_ms:
            self._cover(life, to_ms)

    def forgotten(self) -> None:
        """Data was lost, or the recorder had a gap: all cursors may have any value."""
        self.now.clear()
        self.there.clear()
        self._written = ""


def _spent(definition: Entry, life: Life) -> bool:
    return definition.runs_left(life.fired_count) == 0
