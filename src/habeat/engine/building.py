"""What becomes of an entry whose messages take too long to build (core/slowness.py).

A slow message is sent all the same. After a few in a row the entry's circuit opens: its slots end
as failed, and one is built as a probe after pauses that grow, until one is quick or the entry is
edited (circuits.py). Until then, and for probes, entries that are known to be slow come last in a
turn, one message in all, so the others are late by one slow message at most.
"""

from __future__ import annotations

from habeat.core.slowness import SLOW_US, TIMES, Durations, Verdict
from habeat.engine.circuits import Circuits
from habeat.engine.trouble_log import TroubleLog

#: So long after the last slow message of all, it is over.
OVER_US = 60_000_000

_ALL_SLOW = (
    f"habeat: messages of most entries take more than {SLOW_US // 1_000} ms to build, and all "
    "firings are late: the host is short of CPU, or code that runs for each message (a receiver of "
    "before_task_publish, say) is slow; no entry is set aside for it"
)


class Building:
    """Measures how long messages take, and says which entries are slow."""

    def __init__(self, circuits: Circuits) -> None:
        self._circuits = circuits
        self._durations = Durations()
        self._trouble = TroubleLog()
        self._all_slow_us = 0

    def own(self, entry: str, took_us: int, now_us: int) -> None:
        """A message was built by habeat alone, and took so long: a measure for the others."""
        self._durations.note(entry, took_us, now_us)
        self._circuits.quick(entry)

    def built(self, entry: str, identity: str, code_us: int, now_us: int) -> None:
        """Code of others took so long over a message of the entry."""
        verdict = self._durations.judge(entry, code_us, now_us)
        self._durations.note(entry, code_us, now_us)
        if verdict is Verdict.SLOW:
            self._circuits.slow(entry, identity, _why(code_us))
            return
        self._circuits.quick(entry)
        if verdict is Verdict.ALL_SLOW:
            self._all_slow_us = now_us
            self._trouble.error("all slow", _ALL_SLOW)
        elif now_us - self._all_slow_us > OVER_US:
            self._trouble.over("all slow", "habeat: messages are built in time again")


def _why(code_us: int) -> str:
    return (
        f"building its message took {code_us // 1_000} ms, more than {SLOW_US // 1_000} ms and "
        f"{TIMES} times as long as for others"
    )
