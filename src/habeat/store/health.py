"""The facts of `core/health.py`, read by one script; and what a replica reports of itself.

A replica that has something to report writes it to `:signs` under its nonce, again every few
seconds, and removes it when it is over. A report older than `REPORT_LIVES_MS` is out of date: the
replica is gone, or cannot write.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from habeat.core.circuit import Circuit
from habeat.core.firing import LATE_AFTER_MS, Outcome
from habeat.core.health import STALLED_AFTER_MS, HealthFacts, Recorded, Trouble, Waiting
from habeat.core.leadership import LIVE_FOR_MS
from habeat.entries.digest import digest_of
from habeat.printable import printable
from habeat.store.calling import Caller, optional_ms, text
from habeat.store.inspection import record_of
from habeat.store.pipelining import wire
from habeat.store.replies import json_object, pairs

#: The most that are read of each: newest records, overdue entries, circuits and reports.
NEWEST, OLDEST, SAMPLED = 50, 20, 50
#: A report is written again within this time.
REPORT_LIVES_MS = 30_000
#: The part of a reported text that is shown.
WHAT_MAX_CHARS = 300
#: A report older than this is removed by any replica.
REPORT_FORGOTTEN_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Read:
    """The facts, and what else the same look has found.

    `holder` is the token in the lease, "" if it is free. `late` counts the entries due for longer
    than a firing may take until it counts as late. `stale` has the nonces of old reports.
    """

    facts: HealthFacts
    holder: str
    late: int
    stale: Sequence[str] = ()


class HealthStore:
    """Reads the facts, and writes this replica's report."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._key = caller.keys.signs

    def read(self, grace_ms: int) -> Read:
        """The facts at one instant. StoreUnavailable."""
        spans = (LATE_AFTER_MS, LATE_AFTER_MS + grace_ms, STALLED_AFTER_MS)
        return _read(self._caller.run("health", *spans, OLDEST, NEWEST, SAMPLED, LIVE_FOR_MS))

    def report(self, nonce: str, signs: Mapping[str, Any]) -> None:
        """Write what this replica reports. StoreUnavailable."""
        self._caller.do(lambda client: client.hset(self._key, nonce, json.dumps(signs)))

    def open_circuit(self, entry: str, digest: str, circuit: Circuit) -> bool:
        """Open the circuit of an entry; False if it was edited since. StoreUnavailable.

        `digest` is of the definition that failed, "" for any. An edit closes a circuit, so the
        definition is compared again afterwards. There is no fence: the process that says this may
        have lost its lease by now.
        """
        if not self._is_defined(entry, digest):
            return False
        key, name, value = self._caller.keys.circuits, wire(entry), circuit.to_json()
        self._caller.do(lambda client: client.hset(key, name, value))
        if self._is_defined(entry, digest):
            return True
        self.close_circuit(entry, circuit)
        return False

    def close_circuit(self, entry: str, circuit: Circuit) -> None:
        """Close the circuit of an entry, if it is still this one. StoreUnavailable."""
        key, name = self._caller.keys.circuits, wire(entry)
        stored: Any = self._caller.do(lambda client: client.hget(key, name))
        if stored == circuit.to_json().encode():
            self._caller.do(lambda client: client.hdel(key, name))

    def _is_defined(self, entry: str, digest: str) -> bool:
        key, name = self._caller.keys.entries, wire(entry)
        stored: Any = self._caller.do(lambda client: client.hget(key, name))
        return stored is not None and digest in ("", digest_of(stored))

    def withdraw(self, nonces: Sequence[str]) -> None:
        """Remove these reports. StoreUnavailable."""
        self._caller.do(lambda client: client.hdel(self._key, *map(wire, nonces)))


def _read(reply: Sequence[Any]) -> Read:
    _, now_us, holder, pttl, leader, live, meta, late, beyond, overdue_count, *rest = reply
    overdue, records, in_flight, intents, dead, circuit_count, circuits, *counts = rest
    entries, states, signs, quarantined_count, quarantined = counts
    now_ms = int(now_us) // 1_000
    claimed, settled, abandoned, clock, lost = (
        optional_ms(each) or 0 for each in (*meta[:3], *meta[4:6])
    )
    cause, led_after = meta[6:]
    held = bool(holder) and int(pttl) > 0
    reports = dict(_objects(signs))
    said = [each for each in reports.values() if _is_news(each, now_ms)]
    flown = [at for at in map(_effective_ms, intents[1::2]) if at is not None]
    facts = HealthFacts(
        now_ms=now_ms,
        leader=_where(leader, text(holder)) if held else "",
        standbys=max(0, int(live) - held),
        leader_since_ms=optional_ms(meta[3][:-3]),  # it is stored in microseconds
        last_tick_ms=clock or None,
        leader_cause=text(cause),
        led_after=_before(text(led_after), text(holder)),
        overdue=[(text(name), optional_ms(at) or 0) for name, at in pairs(overdue)],
        overdue_count=int(overdue_count),
        beyond_grace=int(beyond),
        newest=[_recorded(text(at), fields) for at, fields in records],
        in_flight=int(in_flight),
        in_flight_since=min(flown, default=None),
        waiting=[each for found in said for each in _waiting(found, "waiting")],
        circuits=list(_circuits(circuits)),
        circuit_count=int(circuit_count),
        quarantined=[text(name) for name, _ in pairs(quarantined)],
        quarantined_count=int(quarantined_count),
        refused=_names(json_object(leader).get("unstorable")),
        dead=int(dead),
        accounting_off=claimed - settled - abandoned - int(in_flight),
        lost_ms=lost or None,
        broker=next((each for found in said for each in _trouble(found, "broker")), None),
        ticks=[each for found in said for each in _trouble(found, "ticks")],
        hangs=[each for found in said for each in _trouble(found, "hangs")],
        receivers=[each for found in said for each in _trouble(found, "receivers")],
        repaired=[each for found in said for each in _trouble(found, "repaired")],
        undefined=max(0, int(states) - int(entries)),
        unplaced=max(0, int(entries) - int(states)),
        missing_calendars=[each for found in said for each in _waiting(found, "calendars_missing")],
        ended_calendars=[each for found in said for each in _waiting(found, "calendars_ended")],
    )
    stale = [
        nonce for nonce, each in reports.items() if abs(now_ms - _at(each)) > REPORT_FORGOTTEN_MS
    ]
    return Read(facts, text(holder), int(late), stale)


def _objects(flat: Sequence[bytes]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, raw in pairs(flat):
        yield text(name), json_object(raw)


def _where(registered: bytes, holder: str) -> str:
    found = json_object(registered)
    if "host" not in found:
        return f"replica {holder.partition(':')[2]}"
    return f"{found['host']} pid {found.get('pid', '?')}"


def _before(words: str, holder: str) -> str:
    """Where the leader before this holder ran; "" if a release that does not store it has led."""
    token, _, place = words.partition(" ")
    pid, _, host = place.partition(" ")
    return printable(f"{host} pid {pid or '?'}") if token == holder and host else ""


def _names(found: object) -> Sequence[str]:
    return [printable(str(name)) for name in found] if isinstance(found, dict) else ()


def _at(report: Mapping[str, Any]) -> int:
    return _ms(report.get("at_ms"))


def _is_news(report: Mapping[str, Any], now_ms: int) -> bool:
    return abs(now_ms - _at(report)) <= REPORT_LIVES_MS  # Redis' clock may have been set back


def _trouble(report: Mapping[str, Any], subject: str) -> Iterator[Trouble]:
    found = report.get(subject)
    if isinstance(found, dict):
        where = printable(str(report.get("where", "?")), WHAT_MAX_CHARS)
        what = printable(str(found.get("what", "?")), WHAT_MAX_CHARS)
        yield Trouble(where, _ms(found.get("since_ms")), what)


def _waiting(report: Mapping[str, Any], subject: str) -> Iterator[Waiting]:
    found = report.get(subject)
    for each in found if isinstance(found, list) else ():
        if isinstance(each, dict):
            why = printable(str(each.get("why", "?")), WHAT_MAX_CHARS)
            failed = each.get("failed") is True
            yield Waiting(str(each.get("entry", "?")), _ms(each.get("since_ms")), why, failed)


def _ms(value: object) -> int:
    return value if isinstance(value, int) and abs(value) < 10**15 else 0


def _circuits(flat: Sequence[bytes]) -> Iterator[tuple[str, int]]:
    for name, raw in pairs(flat):
        circuit = Circuit.from_json(text(raw))
        if circuit is not None:
            yield text(name), circuit.since_ms


def _effective_ms(intent: bytes) -> int | None:
    words = intent.split(b"\n", 3)
    return optional_ms(words[2]) if len(words) > 3 else None


def _recorded(identity: str, flat: Sequence[bytes]) -> Recorded:
    record = record_of(identity, {text(key): text(value) for key, value in pairs(flat)})
    on_time = not record.request and not record.reason
    sent = on_time and record.outcome in (Outcome.SENT, Outcome.LATE, Outcome.SHADOW)
    effective_ms = record.at_ms - record.lateness_ms if sent else None
    return Recorded(record.entry, record.outcome, record.reason, record.at_ms, effective_ms)
