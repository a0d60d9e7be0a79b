"""The devices of what is stored about the schedule as a whole, and of the ledger's readers."""

from __future__ import annotations

from tests.verification.mutations.device import SCRIPTS, Device

EVENTS = "tests/integration/scripts/test_events.py"
OUTAGES = "tests/unit/engine/test_outages.py"


def _in_script(script: str, name: str, protects: str, old: str, new: str) -> Device:
    return Device(name, protects, f"{SCRIPTS}/{script}.lua", old, new, EVENTS)


ALL = [
    _in_script(
        "leadership",
        "event: of a change of leader",
        "Each change of leader is in the history, even if the new leader dies at once",
        "  add_event('leader_acquired', who, before.since, int(NOW), cause, before.why, "
        "before.words)\n",
        "",
    ),
    _in_script(
        "leadership",
        "event: the leader of an older release",
        "A leader is never shown on the host of another one",
        "if not leader or token ~= leader then",
        "if not leader then",
    ),
    _in_script(
        "leadership",
        "event: the last sign of a stolen lease",
        "The gap begins with the last extension of the lease",
        "  if left_ms > 0 then\n",
        "  if false then\n",
    ),
    _in_script(
        "leadership",
        "event: a clock that was set back",
        "No gap is negative",
        "math.min(NOW, math.max(unpack(signs)))",
        "math.max(unpack(signs))",
    ),
    _in_script(
        "common",
        "event: a loss that is declared again",
        "A lost reply does not declare the loss a second time",
        "  if not again then\n",
        "  if true then\n",
    ),
    _in_script(
        "common",
        "event: a foreign key",
        "Events are stored again after another program wrote there",
        "  set_foreign_aside(EVENTS, 'stream')\n",
        "",
    ),
    _in_script(
        "event",
        "event: an outage that all replicas saw",
        "One outage is one event",
        "  if is_seen() then\n",
        "  if false then\n",
    ),
    _in_script(
        "event",
        "event: an outage that began already",
        "A new leader does not report the same outage again",
        "  if began then\n",
        "  if false then\n",
    ),
    _in_script(
        "event",
        "event: the end of no outage",
        "A broker that works is not reported as an event",
        "  if not began then\n",
        "  if false then\n",
    ),
    Device(
        "event: waits for Redis",
        "An event that cannot be stored now is stored later",
        "engine/outages.py",
        "                if error.fault not in _LASTING:\n                    return\n",
        "",
        OUTAGES,
    ),
    Device(
        "event: no password",
        "Error texts in the history show no password",
        "store/events.py",
        "printable(without_passwords(happening.detail), self._error_chars)",
        "printable(happening.detail, self._error_chars)",
        EVENTS,
    ),
]
