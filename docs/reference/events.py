"""Print docs/reference/events.md: every event code, from the code.

python docs/reference/events.py --write
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from habeat.core.events import EVENTS, EventCode

PAGE = Path(__file__).with_suffix(".md")

HEAD = """\
# Events

What happens to the schedule, or to one entry, has a code that never changes its meaning. The code
is the `event` of a [JSON log line](../guides/operations.md#json-logs) and the attribute
`habeat_event` of a log record. It is also the name of a [signal](python-api.md#signals), where
there is one. Write your alerts against the code, not against the text of a line.

The level belongs to the log line. A condition that has ended is logged as a WARNING: with the code
in *ended by*, or with the same code and `ended` set. An event that is *not logged* is only a
signal. [Operations](../guides/operations.md) lists the lines themselves.

This page is generated from the code:

    python docs/reference/events.py --write
"""

#: The heading of a section, and the first code in it.
SECTIONS = {
    EventCode.LEADER_ACQUIRED: "Who leads",
    EventCode.REDIS_UNAVAILABLE: "Redis",
    EventCode.BROKER_UNAVAILABLE: "The broker, and the way there",
    EventCode.TICK_FAILED: "The loop",
    EventCode.SLOT_DISPATCHED: "Slots",
    EventCode.ENTRY_WAITS: "One entry",
    EventCode.SCHEDULE_PAUSED: "What people do to the schedule",
    EventCode.ENTRY_REFUSED: "Entries of beat_schedule",
    EventCode.OTHER_PREFIX: "Other beats",
    EventCode.RECEIVER_FAILED: "Receivers of events",
}


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *_rows()]) + "\n"


def _rows() -> Iterator[str]:
    for code in EventCode:
        if code in SECTIONS:
            between = "" if code is EventCode.LEADER_ACQUIRED else "\n"
            yield f"{between}## {SECTIONS[code]}\n"
            yield "| code | level | meaning | next step |\n|---|---|---|---|"
        kind = EVENTS[code]
        level = kind.level.name if kind.level else "not logged"
        if kind.ended_by:
            level += f"; ended by `{kind.ended_by}`"
        yield f"| `{code}` | {level} | {_linked(kind.meaning)} | {_linked(kind.next_step)} |"


def _linked(text: str) -> str:
    """The text with a link for each setting, as in the other pages; an empty one is "None."."""
    return re.sub(r"(`habeat_\w+`)", r"[\1](settings.md)", text) or "None."


if __name__ == "__main__":
    if "--write" in sys.argv:
        PAGE.write_text(page())
    else:
        print(page(), end="")
