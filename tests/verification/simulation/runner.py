"""Many seeds in several processes, with a line of progress, until all are done or enough fail.

Seeds go to the processes in small portions; figures come back added up. A run that takes a
processor's time and no virtual time is ended by an alarm and counts as failed, with its seed; a
long run may be suspended, and continues.
"""

from __future__ import annotations

import gc
import multiprocessing
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from tests.verification.simulation.figures import Failure, Figures
from tests.verification.simulation.plan import plan_of
from tests.verification.simulation.run import Simulation
from tests.verification.simulation.world import Stuck

PORTION = 25
FAILURES_ENOUGH = 3
#: The CPU time that one run may take.
PATIENCE_S = 60
LINE_EVERY_S = 10.0


def run_portion(seeds: tuple[int, int]) -> Figures:
    """The figures of seeds first..last-1; also the work of a process of the pool."""
    figures = Figures()
    for seed in range(*seeds):
        with _alarm():
            sim = Simulation(plan_of(seed))
            figures.add(seed, sim.run())
            sim.take_apart()
    gc.collect()
    return figures


@contextmanager
def _alarm() -> Iterator[None]:
    def ring(*_: Any) -> None:
        raise Stuck(f"a run took more than {PATIENCE_S} s of a processor's time")

    if not hasattr(signal, "setitimer"):
        yield
        return
    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, PATIENCE_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def run_many(
    first: int, count: int, jobs: int, enough: int = FAILURES_ENOUGH
) -> tuple[Figures, float]:
    """The figures of `count` seeds from `first` on, and how long they took in seconds.

    Ends early once `enough` seeds have failed, or at Ctrl-C.
    """
    ends = first + count
    portions = [(at, min(at + PORTION, ends)) for at in range(first, ends, PORTION)]
    total, progress = Figures(), Progress(count)
    with suppress(KeyboardInterrupt):  # what has been run so far counts
        if jobs == 1:
            _gather(map(run_portion, portions), total, progress, enough)
        else:
            with multiprocessing.get_context("spawn").Pool(jobs, _begin) as pool:
                parts = pool.imap(run_portion, portions)  # in order: what is done has no holes
                _gather(parts, total, progress, enough)
    progress.end()
    return total, progress.passed_s


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.freeze()
    gc.disable()


def _gather(parts: Iterator[Figures], total: Figures, progress: Progress, enough: int) -> None:
    for part in parts:
        total += part
        for failure in part.failures:
            progress.failed(failure)
        progress.tell(total)
        if len(total.failures) >= enough:
            return


class Progress:
    """A progress line; on a terminal, it is always the same one."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._began_s = time.monotonic()
        self._reported_s = self._began_s
        self._same_line = sys.stderr.isatty()

    @property
    def passed_s(self) -> float:
        return time.monotonic() - self._began_s

    def tell(self, total: Figures) -> None:
        """Print the line if it is time to."""
        now_s = time.monotonic()
        if now_s - self._reported_s < (0.2 if self._same_line else LINE_EVERY_S):
            return
        self._reported_s = now_s
        done = total.counts["seeds"]
        rate = done / self.passed_s
        left_s = (self._count - done) / rate
        failed = f", {len(total.failures)} failed" if total.failures else ""
        line = (
            f"{done:,} of {self._count:,} seeds, {rate:.0f} a second, {left_s:.0f} s left{failed}"
        )
        end = "" if self._same_line else "\n"
        start = "\r\x1b[K" if self._same_line else ""
        print(start + line, end=end, file=sys.stderr, flush=True)

    def failed(self, failure: Failure) -> None:
        """Say which seed it was at once: the end may be an hour away."""
        start = "\r\x1b[K" if self._same_line else ""
        problem = f"seed {failure.seed} failed: {failure.problems[0]}"
        print(start + problem, file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leave the line."""
        if self._same_line:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
