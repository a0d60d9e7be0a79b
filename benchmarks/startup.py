"""How long after its process began a beat with N static entries sends its first message.

What is measured. The app declares N entries in `beat_schedule` that are not due for weeks, and
one with a period of 0.1 s whose name sorts behind all others; time runs from the start of the
process to the first message in the queue, seen by polling its length each millisecond. So it
holds the interpreter, the import of Celery, the making of the schedule, the taking of
leadership, and taking in the whole schedule up to its last entry. The same with no entry but
the probe is subtracted: what is left is what N entries cost. Medians of several
starts; a first start of each, which reads its files from a cold disk, is not counted.

fresh: nothing is stored yet. again: a second start, everything stored as declared, which is what
a deploy is. (Celery's file and RedBeat's and habeat's keys are kept for it.)

Caveats. The probe's own period adds up to 0.1 s, in the empty start as well; so a difference of
less than 0.1 s says nothing. RedBeat is not told apart from the others: it takes its lock, then
fires. A start that takes longer than the cap is given up, and the table says so.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from benchmarks import figures, plotting
from benchmarks.running import Run, Stage, queue_of, stage
from benchmarks.schedulers import CELERY, HABEAT, REDBEAT, Scheduler, available, entries, far
from benchmarks.tables import UNKNOWN, Table, times
from benchmarks.watching import watch

NAME = "startup"
CAP_S = 300.0
#: Differences below this are the probe's own period.
NOISE_S = 0.1
PROBE = '{"zzz-probe": {"task": "bench.work", "schedule": 0.1}}'
WAYS = ("fresh", "again")


def measure(run: Run) -> dict[str, Any]:
    """Seconds to the first message, by number of entries, contender and way; null if never."""
    cap_s = run.pick(CAP_S, 60.0)
    found: dict[str, Any] = {"cap_s": cap_s, "sizes": {}}
    for each in run.wanted(available((HABEAT, REDBEAT, CELERY))):
        run.tried(each.name, partial(pair, run, each, 0, cap_s))  # not counted: cold files
    for count in (0, *run.entries((1_000, 10_000, 100_000), (200,))):
        of_size = found["sizes"][str(count)] = {}
        for each in run.wanted(available(run.pick((HABEAT, REDBEAT, CELERY), (HABEAT, CELERY)))):
            few = 1 if count > 20_000 and each is not HABEAT else run.times(3)
            measure_one = partial(pair, run, each, count, cap_s)
            starts = [told for _ in range(few) if (told := run.tried(each.name, measure_one))]
            if not starts:
                continue
            told = {way: [both[i] for both in starts] for i, way in enumerate(WAYS)}
            of_size[each.name] = told
            shown = ", ".join(f"{way} {figures.typical(told[way]):.2f} s" for way in WAYS)
            run.say(f"start with {count:,} entries: {each.name}: {shown}")
    return found


def pair(run: Run, scheduler: Scheduler, count: int, cap_s: float) -> tuple[float, float]:
    """A fresh start, and one more from what it has left behind."""
    run.fresh()
    with stage() as here:
        here.write(scheduler, run.server, entries(count, far(scheduler)), PROBE)
        fresh = first_message_s(run, here, scheduler, cap_s)
        if not math.isfinite(fresh):
            return fresh, math.inf
        return fresh, first_message_s(run, here, scheduler, cap_s)


def first_message_s(run: Run, here: Stage, scheduler: Scheduler, cap_s: float) -> float:
    """Start a beat, wait for its first message, stop it; infinite if there is none."""
    with queue_of(run.server) as queue:
        run.server.client(1).flushdb()
        began_us = queue.now_us()
        beat = here.beat(scheduler)
        until_us = began_us + int(cap_s * 1e6)
        samples = watch(queue, 1, until_us, lambda: beat.alive, still_s=0)
        beat.term()  # in order, so that celery's file is written
        beat.wait(cap_s)
        if scheduler is REDBEAT:
            run.server.admin.delete("redbeat::lock")
    return (samples[0][0] - began_us) / 1e6 if samples else math.inf


def tables(data: dict[str, Any]) -> list[Table]:
    """One table: what N entries add to the start of an empty schedule."""
    columns = ("contender", "entries", "fresh", "more than empty", "again", "more than empty",
               "÷ habeat (fresh)")  # fmt: skip
    table = Table("Start to first message (seconds, medians)", columns)
    empty = data["sizes"]["0"]
    for size, found in data["sizes"].items():
        ours = _more(found.get(HABEAT.name), empty.get(HABEAT.name), "fresh")
        for name, told in found.items():
            cells = []
            for way in WAYS:
                cells += [_shown(_median(told, way)), _shown(_more(told, empty.get(name), way))]
            more = _more(told, empty.get(name), "fresh")
            ratio = times(more, ours) if _says(more) and _says(ours) else UNKNOWN
            table.rows.append([name, f"{int(size):,}", *cells, ratio])
    table.notes = [f"A hyphen: no message after {data['cap_s']:g} s, or nothing to compare."]
    return [table]


def _median(told: dict[str, list[float | None]] | None, way: str) -> float | None:
    values = [math.inf if value is None else value for value in (told or {}).get(way, [])]
    return figures.typical(values) if values else None


def _more(told: Any, empty: Any, way: str) -> float | None:
    mine, nothing = _median(told, way), _median(empty, way)
    return None if mine is None or nothing is None else mine - nothing


def _says(value: float | None) -> bool:
    return value is not None and value > NOISE_S


def _shown(value: float | None) -> str:
    return UNKNOWN if value is None or not math.isfinite(value) else f"{value:.2f}"


def plot(data: dict[str, Any]) -> str:
    """Seconds to the first message over the number of entries."""
    curves: dict[str, list[tuple[float, float]]] = {}
    for size, found in data["sizes"].items():
        for name, told in found.items():
            for way in WAYS:
                value = _median(told, way)
                if int(size) and value is not None:
                    curves.setdefault(f"{name}, {way}", []).append((int(size), value))
    return plotting.chart("Start to first message", "entries", "seconds", curves,
                          log_x=True, log_y=True)  # fmt: skip
