"""A problem for people: what is wrong, then everything that touched that slot, in time order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tests.verification.history.case import Problem
from tests.verification.history.events import (
    Arrival,
    Event,
    Expectation,
    Fault,
    Gap,
    Lost,
    ScriptEnd,
    Write,
    begins_us,
)

_LINES = 60
#: How long before and after a slot's own events other things are shown.
_AROUND_US = 1_000_000


def in_context(problem: Problem, events: Sequence[Event], expectation: Expectation) -> str:
    """The problem and its evidence, many lines."""
    zero_us = expectation.start_us or (begins_us(events[0]) if events else 0)
    where = f"{problem.entry}@{problem.identity}" if problem.identity else problem.entry
    head = f"{problem.invariant}: {where}: {problem.text}" if where else problem.text
    if not where:
        head = f"{problem.invariant}: {problem.text}"
    lines = [f"{head} (at {_at(problem.at_us, zero_us).strip()})"]
    lines += [
        f"  {_at(begins_us(event), zero_us)}  {line}"
        for event, line in _evidence(problem, events, expectation)
    ]
    if len(lines) > _LINES:
        half = _LINES // 2
        lines[half:-half] = [f"  … {len(lines) - 2 * half} lines left out …"]
    return "\n".join(lines)


def _at(at_us: int, zero_us: int) -> str:
    return f"{(at_us - zero_us) / 1e6:+12.6f}"


def _evidence(
    problem: Problem, events: Sequence[Event], expectation: Expectation
) -> Iterator[tuple[Event, str]]:
    """The events to show, by time."""
    reader = _Reader(problem, expectation.base)
    direct = [event for event in events if reader.touches(event)]
    moments = [begins_us(event) for event in direct] + [problem.at_us]
    from_us, to_us = min(moments) - _AROUND_US, max(moments) + _AROUND_US
    chosen = {id(event) for event in direct}
    shown = [
        event for event in events if id(event) in chosen or reader.is_around(event, from_us, to_us)
    ]
    shown.sort(key=begins_us)
    for event in shown:
        yield event, reader.line(event)


class _Reader:
    """Selects the events that matter for one entry and slot."""

    def __init__(self, problem: Problem, base: str) -> None:
        self._base = base
        self._entry = problem.entry.encode()
        self._identity = problem.identity.encode()
        slot = problem.identity.partition("#")[0]
        self._slot_ms = int(slot) if slot.lstrip("-").isdigit() else None

    def touches(self, event: Event) -> bool:
        """Whether it is about exactly this slot."""
        if isinstance(event, Arrival):
            return (event.entry.encode(), event.identity.encode()) == (self._entry, self._identity)
        if not isinstance(event, Write) or not self._entry:
            return False
        words, key = event.words, event.words[1].decode()[len(self._base) :]
        if key.startswith("fired:"):
            return words[1].endswith(b"fired:" + self._entry + b":" + self._identity)
        if key in ("inflight", "dead"):
            return words[2] == self._entry + b"@" + self._identity
        if key == "state":
            return words[2] == self._entry and self._moves_past(words)
        if key == "ledger" and words[4] == self._entry:
            return self._slot_ms is None or int(words[6]) <= self._slot_ms <= int(words[14])
        return False

    def _moves_past(self, words: tuple[bytes, ...]) -> bool:
        if words[0] == b"HDEL" or self._slot_ms is None:
            return True
        cursor, following = words[3].split(b"|")[:2]
        return self._slot_ms == int(cursor) or (
            following.isdigit() and self._slot_ms == int(following)
        )

    def is_around(self, event: Event, from_us: int, to_us: int) -> bool:
        """Whether it may explain something, and is from that time."""
        if isinstance(event, (Fault, Gap)):
            return event.start_us <= to_us and event.end_us >= from_us
        if isinstance(event, Lost):
            return from_us <= event.at_us <= to_us
        if isinstance(event, Write) and from_us <= event.at_us <= to_us:
            key = event.words[1].decode()[len(self._base) :]
            return (key == "lease" and event.words[0] != b"PEXPIRE") or (
                key == "entries" and (not self._entry or event.words[2] == self._entry)
            )
        return False

    def line(self, event: Event) -> str:
        """One event in words."""
        match event:
            case Arrival():
                return (
                    f"MESSAGE {event.entry}@{event.identity}, attempt {event.attempt}"
                    f"{' from ' + event.sender if event.sender else ''}, id {event.task_id}"
                )
            case Fault():
                lasted = (event.end_us - event.start_us) / 1e6
                return f"FAULT {event.kind.name} {event.victim or '(all)'} for {lasted:.6f} s"
            case Lost():
                return f"DATA LOST: {event.how}"
            case Gap():
                return f"nothing recorded for {(event.end_us - event.start_us) / 1e6:.6f} s"
            case ScriptEnd():
                return "end of script"
            case Write():
                return self._write(event)

    def _write(self, event: Write) -> str:
        words = [word.decode("utf-8", "backslashreplace") for word in event.words]
        key = words[1][len(self._base) :]
        rest = [word if len(word) <= 120 else word[:117] + "…" for word in words[2:]]
        if key == "ledger":
            fields = dict(zip(rest[1::2], rest[2::2], strict=False))
            run = (
                "" if fields["count"] == "1" else f", {fields['count']} slots to {fields['until']}"
            )
            why = f" ({fields['reason']})" if fields["reason"] else ""
            return f"ledger: {fields['entry']}@{fields['slot']} {fields['outcome']}{why}{run}"
        step_us = event.server_us - event.at_us
        clock = f"   [server clock {step_us / 1e6:+.3f} s]" if abs(step_us) > 1_000 else ""
        return f"{words[0]} {key} {' '.join(rest)!s}".replace("\n", "\\n") + clock
