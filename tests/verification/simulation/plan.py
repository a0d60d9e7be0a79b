"""What a run is made of, drawn from its seed before it begins.

A plan is data: the entries, the replicas, and the troubles one by one with their moments. So a
failing run can be made smaller by leaving parts of the plan out, and the parts that stay happen
as they did. What is left to chance while it runs (latencies, lots) comes from another stream of
the same seed.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

SECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class EntryPlan:
    """One entry; its fields are as in `habeat.core.entry.Entry`. config: code declares it."""

    name: str
    every_ms: int
    config: bool
    task: str = "task"
    misfire: str | None = None
    grace_ms: int | None = None
    limit: int | None = None
    pace: float | None = None
    window_ms: int | None = None
    at_most_once: bool = False
    jitter_ms: int = 0
    spread_ms: int = 0
    deadline_ms: int | None = None
    max_runs: int | None = None


@dataclass(frozen=True, slots=True)
class Trouble:
    """A trouble at one moment of the storm, for the leader or for another victim.

    on: "" at once; else the boundary of a call at which it lies in wait, the script's name with
    "<" (before the request arrives) or ">" (between execution and reply).
    """

    number: int
    at_us: int
    kind: str
    on: str = ""
    us: int = 0
    amount: int = 0
    leader: bool = True


@dataclass(frozen=True, slots=True)
class Plan:
    """All of a run except its random choices."""

    seed: int
    replicas: int
    entries: tuple[EntryPlan, ...]
    troubles: tuple[Trouble, ...]
    storm_us: int
    ttl_ms: int
    atomic: bool
    publish_timeout_ms: int = 500
    dedup_ms: int = 300_000
    crash_poll_ms: int = 250
    #: After how many resends an intent is buried; the shipped one is 10.
    attempts_cap: int = 10
    #: `habeat_outbox_window`, and up to how many waiting messages each leaves by itself (10 as
    #: shipped): with the few entries of a run there would never be a burst.
    window: int = 50
    little: int = 10
    #: The phase of the grid of slots at which the run begins, in ms.
    phase_ms: int = 0
    #: The clock of Redis does not step back in this run.
    never_back: bool = False
    #: A message is sent once a Redis replica has its claim (`habeat_wait_redis_replicas`).
    waits: bool = False
    #: How many claims are sent in one call.
    batch: int = 20
    quiet_most_us: int = 30 * SECOND

    @property
    def timeout_us(self) -> int:
        """How long a call to Redis may take, as `habeat.beat.assembly` has it."""
        return round(min(2.0, max(0.3, self.ttl_ms / 4_000)) * SECOND)

    @property
    def most_under_way(self) -> int:
        """How many messages a kill may repeat: however many are due, the window holds."""
        return self.window

    def without(self, numbers: Sequence[int]) -> Plan:
        """The same plan with some of the troubles left out."""
        kept = tuple(trouble for trouble in self.troubles if trouble.number not in numbers)
        return replace(self, troubles=kept)


#: All due at once, so that there is a burst for the outbox' window.
CROWD = tuple(EntryPlan(f"c{number}", 1_000, config=False) for number in range(14))

#: Scripts of a leader whose calls troubles lie in wait for, with how the dispatch uses them.
CALLS = {
    True: ("claim", "claim", "claim", "tick", "skip", "acquire", "steal", "write", "read"),
    False: (
        *("claim", "claim", "publish", "publish", "settle", "settle", "mark", "recover"),
        *("tick", "skip", "acquire", "steal", "write"),
    ),
}

#: How often each kind of trouble is drawn. What is only there with the outbox is marked "o".
WEIGHTS = {
    "kill": 4,
    "freeze": 4,
    "freeze then term": 1,
    "o freeze to mark": 2,
    "o broker slow": 2,
    "o deafen slow": 2,
    "lose request": 2,
    "lose reply": 4,
    "term": 2,
    "cut off": 2,
    "deafen": 2,
    "restore": 2,
    "failover": 2,
    "empty": 2,
    "redis down": 1,
    "redis restart": 1,
    "redis slow": 1,
    "redis oom": 1,
    "redis readonly": 1,
    "redis clock": 2,
    "host clock": 1,
    "lossy": 1,
    "late request": 3,
    "late steal": 2,
    "late release": 1,
    "restored call": 2,
    "evicted": 1,
    "all frozen": 3,
    "o evicted slow": 2,
    "o clock slow": 1,
    "o killed then clock": 2,
    "o slow backlog": 3,
    "edit": 9,
    "garble": 1,
    "unrenderable": 1,
    "deploy": 1,
    "o broker down": 2,
    "o broker cut": 1,
    "o broker hangs": 2,
    "o confirm lost": 3,
    "o refuse": 2,
}
#: How many troubles a run has; the calm ones show what must not be late at all.
HOW_MANY = (0, 1, 1, 2, 3, 4, 5, 6, 7, 8)
#: These always lie in wait, there.
ALWAYS_AT = {
    "freeze to mark": ("settle<",),
    "deafen slow": ("publish<",),
    "evicted slow": ("publish<",),
    "clock slow": ("publish<",),
    "killed then clock": ("publish<", "publish>", "settle<", "claim>"),
    "restored call": ("claim<",),
}
#: By how much clocks are put back or forward, in ms.
STEPS = (-60_000, -3_000, -700, -200, 200, 700, 3_000, 60_000)
#: These can lie in wait at a call.
AT_CALLS = {
    *("kill", "freeze", "lose request", "lose reply", "term", "restore", "failover", "empty"),
    *("cut off", "redis clock", "deafen", "edit", "evicted"),
}


def plan_of(seed: int, atomic: bool | None = None) -> Plan:
    """The plan of a seed; the dispatch is drawn too if it is not given."""
    draw = random.Random(f"plan {seed}")
    by_lot = draw.random() < 0.4
    never_back = draw.random() < 0.5
    atomic = by_lot if atomic is None else atomic
    storm_us = draw.randrange(3 * SECOND // 2, 5 * SECOND)
    ttl_ms = draw.choice((1_000, 1_000, 1_000, 1_500, 2_000))
    drawn = Plan(
        seed=seed,
        replicas=draw.choice((2, 2, 3, 3, 3, 4)),
        entries=tuple(_entry(draw, number) for number in range(draw.randrange(1, 6))),
        troubles=_troubles(draw, atomic, storm_us, ttl_ms, never_back),
        never_back=never_back,
        storm_us=storm_us,
        ttl_ms=ttl_ms,
        atomic=atomic,
        publish_timeout_ms=draw.choice((300, 500, 3_000)),
        dedup_ms=draw.choice((1_000, 300_000, 300_000)),
        crash_poll_ms=draw.choice((250, 250, 400, 600)),
        attempts_cap=draw.choice((2, 2, 10)),
        phase_ms=draw.randrange(1_000),
        waits=draw.random() < 0.3 and not atomic,
        batch=draw.choice((4, 20, 20)),
        window=draw.choice((1, 2, 3, 50)),
        little=draw.choice((1, 1, 10)),
    )
    drawn = replace(drawn, troubles=(*drawn.troubles, *_controls(seed, storm_us)))
    crowd = () if drawn.atomic or draw.random() < 0.75 else CROWD
    return replace(drawn, entries=drawn.entries + crowd)


def _controls(seed: int, storm_us: int) -> tuple[Trouble, ...]:
    """What people ask of the whole schedule: drawn apart, so that the rest of a run stays as is."""
    draw = random.Random(f"controls {seed}")
    if draw.random() < 0.75:
        return ()
    kinds = draw.choices(("pause all", "hold", "step down"), (4, 3, 3), k=draw.choice((1, 1, 2)))
    return tuple(
        Trouble(
            number=100 + number,
            at_us=draw.randrange(storm_us),
            kind=kind,
            on=draw.choice(("", "", "claim<", "skip<", "tick>")) if kind == "pause all" else "",
            us=draw.randrange(50_000, 2 * SECOND),
            amount=draw.randrange(4),
        )
        for number, kind in enumerate(kinds)
    )


def _entry(draw: random.Random, number: int) -> EntryPlan:
    every_ms = draw.choice((300, 500, 700, 1_000, 1_000, 2_000, 3_000))
    odd = draw.random
    return EntryPlan(
        name=f"e{number}",
        every_ms=every_ms,
        config=odd() < 0.5,
        task=draw.choice(("task",) * 12 + ("poisoned", "its own way")),
        misfire=draw.choice((None, "latest", "all", "skip")),
        grace_ms=draw.choice((400, 400, 1_000, 5_000, 60_000)),
        limit=draw.choice((None, 0, 1, 3)),
        pace=draw.choice((None, 5.0)),
        window_ms=draw.choice((None, None, None, 0, 2_000)),
        at_most_once=odd() < 0.2,
        jitter_ms=draw.choice((0, 0, 0, every_ms // 3)),
        spread_ms=draw.choice((0, 0, 0, every_ms // 2)),
        deadline_ms=draw.choice((None, None, None, None, 500)),
        max_runs=draw.choice((None,) * 8 + (3,)),
    )


def _troubles(
    draw: random.Random, atomic: bool, storm_us: int, ttl_ms: int, never_back: bool
) -> tuple[Trouble, ...]:
    kinds = [kind for kind in WEIGHTS if not (atomic and kind.startswith("o "))]
    weights = [WEIGHTS[kind] for kind in kinds]
    steps = tuple(step for step in STEPS if step > 0 or not never_back)
    if not never_back:
        # Emptied, and its clock put back: the slots are new to everybody, and due again.
        weights[kinds.index("empty")] = 0
    moments = sorted(draw.randrange(storm_us) for _ in range(draw.choice(HOW_MANY)))
    return tuple(
        _trouble(draw, number, at_us, draw.choices(kinds, weights)[0], atomic, ttl_ms, steps)
        for number, at_us in enumerate(moments, 1)
    )


def _trouble(
    draw: random.Random,
    number: int,
    at_us: int,
    kind: str,
    atomic: bool,
    ttl_ms: int,
    steps: tuple[int, ...],
) -> Trouble:
    kind = kind.removeprefix("o ")
    on = ""
    must = kind in ("lose request", "late request", "lose reply", "confirm lost")
    if must or (kind in AT_CALLS and draw.random() < 0.6):
        side = "" if not must else "<" if kind.endswith("request") else ">"
        call = "publish" if kind == "confirm lost" else draw.choice(CALLS[atomic])
        if call == "publish" and must and kind != "confirm lost":
            call = "settle"
        if kind == "late request":
            call = draw.choice(("claim", "skip", "skip", "skip", "write", "recover", "settle"))
        on = call + (side or draw.choice("<>"))
    if kind in ALWAYS_AT:
        on = draw.choice(ALWAYS_AT[kind])
    if kind == "edit" and on and draw.random() < 0.6:
        on = "claim<"
    spans = (20_000, 150_000, ttl_ms * 600, ttl_ms * 1_100, ttl_ms * 2_500)
    return Trouble(
        number=number,
        at_us=at_us,
        kind=kind,
        on=on,
        us=round(draw.choice(spans) * draw.uniform(0.7, 1.3)),
        amount=draw.choice(steps),
        leader=draw.random() < 0.85,
    )
