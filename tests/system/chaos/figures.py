"""The outcome of a scenario: repeats, misses, lateness, takeover time after each fault."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests import ROOT
from tests.verification.history.checker import Verdict
from tests.verification.history.events import Arrival, Event, Fault, Kind, Write

BUILD = "HABEAT_CHAOS_BUILD"
NAME = "chaos-figures.json"


def build_folder() -> Path:
    """Where figures, and the logs of what failed, are kept."""
    folder = Path(os.environ.get(BUILD) or ROOT / "build")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def record(name: str, found: Mapping[str, Any]) -> None:
    """Add a scenario's figures to the file; an earlier run of it is replaced."""
    path = build_folder() / NAME
    fields = json.loads(path.read_text()) if path.exists() else {}
    fields[name] = found
    path.write_text(json.dumps(fields, indent=1, sort_keys=True) + "\n")


def figures(
    events: Sequence[Event], verdict: Verdict, lasted_s: float, points: Mapping[int, str]
) -> dict[str, Any]:
    """`points` says for a fault, by its start, at which failpoint it was."""
    came = Counter((e.entry, e.identity) for e in events if isinstance(e, Arrival))
    return {
        "seconds": round(lasted_s, 1),
        "messages": came.total(),
        "duplicates": came.total() - len(came),
        "outcomes": _outcomes(events),
        "lateness_ms": {
            kind.name if kind else "none": fields
            for kind, fields in verdict.lateness.table().items()
        },
        "faults": [_fault(events, fault, points) for fault in events if isinstance(fault, Fault)],
    }


def _outcomes(events: Sequence[Event]) -> dict[str, int]:
    """Slots by what the ledger says became of them."""
    found: Counter[str] = Counter()
    for event in events:
        if isinstance(event, Write) and event.words[0] == b"XADD":
            fields = dict(zip(event.words[3::2], event.words[4::2], strict=False))
            outcome, count = fields.get(b"outcome"), fields.get(b"count", b"1")
            if outcome is not None:
                found[outcome.decode()] += int(count)
    return dict(found)


def _fault(events: Sequence[Event], fault: Fault, points: Mapping[int, str]) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "kind": fault.kind.name,
        # A loss of everything starts at 0: it has no length.
        "lasted_ms": (fault.end_us - fault.start_us) // 1_000 if fault.start_us else None,
        "takeover_ms": _takeover_ms(events, fault),
    }
    if fault.start_us in points:
        fields["point"] = points[fault.start_us]
    return fields


#: Kinds that may cost a leader its lease, and how long after their end the lease may change hands
#: on their account: when it has run out, and a standby has looked.
_COSTLY = (Kind.KILL, Kind.FREEZE, Kind.TERM, Kind.CUT_OFF)
_LATEST_US = 3_000_000


def _takeover_ms(events: Sequence[Event], fault: Fault) -> int | None:
    """If it hit the leader: from its start until the lease was another's."""
    if fault.kind not in _COSTLY:
        return None
    led = ""
    for event in events:
        if not isinstance(event, Write) or event.words[0] != b"SET":
            continue
        if not event.words[1].endswith(b":lease"):
            continue
        if event.at_us > fault.start_us:
            in_time = event.at_us <= fault.end_us + _LATEST_US
            hit = led == fault.victim and in_time
            return (event.at_us - fault.start_us) // 1_000 if hit else None
        led = event.words[2].partition(b":")[2].decode()
    return None
