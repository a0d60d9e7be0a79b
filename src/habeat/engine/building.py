"""Entries whose messages take too long to build (core/slowness.py).

A slow message is still sent. After a few in a row, the entry's circuit opens (circuits.py): its
slots end as failed, except for a probe after growing pauses. The circuit closes when a probe is
built in time or the entry is edited.

Entries known to be slow are handled last in a tick, probes included, and a tick builds only one
slow message. So other entries are delayed by at most one slow message.
"""

from __future__ import annotations

from habeat.core.events import EventCode
from habeat.core.slowness import SLOW_US, TIMES, Durations, Speed
from habeat.engine.circuits import Circuits
from habeat.engine.trouble_log import TroubleLog

#: After this long without "all slow", the problem counts as over.
OVER_US = 60_000_000

_ALL_SLOW = (
    f"habeat: messages of most entries take more than {SLOW_US // 1_000} ms to build, and all "
    "firings are late: the host is short of CPU, or code that runs for each message (a receiver of "
    "before_task_publish, say) is slow; no circuit opens for it"
)


class Building:
    """Measures how long messages take to build, and reports slow entries to the circuits."""

    def __init__(self, circuits: Circuits) -> None:
        self._circuits = circuits
        self._durations = Durations()
        self._trouble = TroubleLog()
        self._all_slow_us = 0

    def own(self, entry: str, took_us: int, now_us: int) -> None:
        """Record a message that only habeat's code built: the baseline for all others."""
        self._durations.note(entry, took_us, now_us)
        self._circuits.quick(entry)

    def built(self, entry: str, identity: str, code_us: int, now_us: int) -> None:
        """Judge a message that other code helped to build; `code_us` is the time it took."""
        speed = self._durations.judge(entry, code_us, now_us)
        self._durations.note(entry, code_us, now_us)
        if speed is Speed.SLOW:
            self._circuits.slow(entry, identity, _why(code_us))
            return
        self._circuits.quick(entry)
        if speed is Speed.ALL_SLOW:
            self._all_slow_us = now_us
            self._trouble.error("all slow", EventCode.MESSAGES_SLOW, _ALL_SLOW)
        elif now_us - self._all_slow_us > OVER_US:
            self._trouble.over("all slow", "habeat: messages are built in time again")


def _why(code_us: int) -> str:
    return (
        f"building its message took {code_us // 1_000} ms, more than {SLOW_US // 1_000} ms and "
        f"{TIMES} times as long as for others"
    )
