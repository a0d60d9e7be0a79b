"""Runs in which one thing happens at the critical moment, which a planted bug needs to show itself.

Drawn seeds reach such moments once in a hundred or in a million runs. Each of these runs is made
from a seed, and the unchanged product passes it with every seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tests.verification.simulation.plan import CROWD, SECOND, EntryPlan, Plan, Trouble, plan_of

#: A plan for each seed.
Life = Callable[[int], Plan]


def stops(seed: int) -> Plan:
    """The leader is stopped with SIGTERM, three times, and nothing else happens."""
    return _with(plan_of(seed), *(Trouble(n, n * SECOND, "term") for n in (1, 2, 3)))


def restores(seed: int) -> Plan:
    """Snapshots of 0.9 s ago are restored under a leader that keeps running."""
    troubles = (Trouble(n, n * SECOND, "restore", us=900_000) for n in (1, 2, 3))
    return _with(plan_of(seed), *troubles)


def fails_over(seed: int) -> Plan:
    """A Redis replica that lags by 0.9 s takes over; it has been waited for."""
    troubles = (Trouble(n, n * SECOND, "failover", us=900_000) for n in (1, 2, 3))
    return replace(_with(plan_of(seed, atomic=False), *troubles), waits=True)


def killed_unwaited(seed: int) -> Plan:
    """A leader dies between a claim and its WAIT; its heir sends, then Redis fails over."""
    plan = plan_of(seed, atomic=False)
    entry = replace(
        plan.entries[0],
        every_ms=3_000,
        config=False,
        task="task",
        grace_ms=60_000,
        at_most_once=False,
        jitter_ms=0,
        spread_ms=0,
        deadline_ms=None,
        max_runs=None,
    )
    plan = _with(
        plan,
        Trouble(1, SECOND // 2, "failover", us=1_900_000),
        Trouble(2, 600_000, "kill", on="wait<"),
    )
    return replace(plan, entries=(entry,), waits=True, phase_ms=0, ttl_ms=1_000)


def settling_lost(seed: int) -> Plan:
    """The request or the answer of a settling is lost, again and again."""
    kinds = ("lose request", "lose reply")
    troubles = (
        Trouble(n, n * SECOND // 2, kinds[n % 2], on="settle<" if n % 2 == 0 else "settle>")
        for n in range(1, 8)
    )
    return _with(plan_of(seed, atomic=False), *troubles)


def joins_beside_the_unheard(seed: int) -> Plan:
    """A new replica finds a leader whose channel it has never seen; there is no other replica."""
    plan = _with(plan_of(seed), *_each(2, "unheard by a newcomer", us=700_000))
    return replace(plan, replicas=1)


def reconnects_beside_the_unheard(seed: int) -> Plan:
    """A standby has heard its leader over a connection that it has lost since."""
    return replace(
        _with(plan_of(seed), *_each(3, "unheard over another line", us=850_000)), replicas=2
    )


def heirs_unheard(seed: int) -> Plan:
    """A standby has heard the leader before this one."""
    return _with(plan_of(seed), *_each(3, "unheard heir", us=800_000))


def looks_twice_at_once(seed: int) -> Plan:
    """A standby is called for between two looks at a leader that is not heard."""
    return _with(plan_of(seed), *_each(3, "called between looks", us=500_000))


def muted(seed: int) -> Plan:
    """No standby sees a listener of a leader that works: its heartbeat moves between all looks."""
    return _busy(_with(plan_of(seed), *_each(2, "muted", us=900_000)))


def deafened(seed: int) -> Plan:
    """A leader's pub/sub connection is cut, and open again before any standby has looked twice."""
    return _with(plan_of(seed), *_each(8, "deafen", every_us=SECOND // 2))


def frozen_at_the_edge(seed: int) -> Plan:
    """A leader continues when its window is over and its lease has not, or has just, ended."""
    plan = replace(plan_of(seed), ttl_ms=1_000)
    places = ("", "tick>", "claim>", "", "claim<", "tick<")
    troubles = tuple(
        Trouble(n, n * 1_300_000, "freeze", place, us=700_000 + 37_000 * (seed % 10))
        for n, place in enumerate(places[seed % 2 * 3 :][:3], 1)
    )
    return replace(_busy(_with(plan, *troubles)), ttl_ms=1_000)


def overtaken(seed: int) -> Plan:
    """The lease is gone while its holder works; the holder learns so from its next call."""
    return _busy(_with(plan_of(seed), *_each(4, "evicted", every_us=900_000)))


def yields(seed: int) -> Plan:
    """The broker cannot be reached by the leader alone, which hands over."""
    plan = _with(plan_of(seed, atomic=False), Trouble(1, 300_000, "broker cut", us=6 * SECOND))
    return replace(_busy(plan), publish_timeout_ms=300)


def stopped_only_once(seed: int) -> Plan:
    """Stops in the midst of what may be sent at most once, all of it or every other entry.

    Long enough after the start that what had been there before explains nothing any more.
    """
    place = ("claim>", "publish<", "claim>", "publish>", "claim<")[seed % 5]
    troubles = (Trouble(n, (4 + n) * SECOND, "term", place) for n in (1, 2, 3))
    plan = _busy(_with(plan_of(seed, atomic=False), *troubles))
    if seed >= 5:  # several are due at once
        plan = replace(plan, entries=CROWD, little=1, batch=20)
    once = [place == "claim>" or n % 2 == 0 for n in range(len(plan.entries))]
    pairs = zip(plan.entries, once, strict=True)
    entries = tuple(replace(each, at_most_once=it) for each, it in pairs)
    return replace(plan, entries=entries, storm_us=8 * SECOND, ttl_ms=1_000)


def stopped_in_a_burst(seed: int) -> Plan:
    """Stops while a packet is under way, its settling, or the next claim."""
    place = ("publish<", "publish>", "settle<", "claim<", "claim>")[seed % 5]
    plan = _with(plan_of(seed, atomic=False), *_each(3, "term", place))
    return replace(plan, entries=CROWD, window=3, little=1, batch=20)


def dies_with_what_cannot_be_kept(seed: int) -> Plan:
    """A leader is killed with messages on their way that no other replica can send."""
    place = ("publish>", "claim>", "settle<")[seed % 3]
    plan = _busy(_with(plan_of(seed, atomic=False), *_each(3, "kill", place)))
    return replace(plan, entries=tuple(replace(each, task="its own way") for each in plan.entries))


def dies_with_a_long_lease(seed: int) -> Plan:
    """The clock steps back as a leader dies: its lease outlives it by a minute."""
    kind, place = "dies as the clock steps back", ("publish<", "publish>", "claim>")[seed % 3]
    plan = _busy(_with(plan_of(seed, atomic=False), Trouble(1, SECOND, kind, place)))
    return replace(plan, never_back=False)


def renames(seed: int) -> Plan:
    """Every entry is renamed, at the moment of a claim or at any other time."""
    return _busy(_with(plan_of(seed), *_each(1, "renamed", ("claim<", "")[seed % 2])))


def renews_late(seed: int) -> Plan:
    """A renewal before a message is answered when hardly any of the window is left."""
    troubles = tuple(
        Trouble(
            n, n * 1_500_000, "renews late", "claim>", us=500_000, amount=440_000 + 9_000 * seed
        )
        for n in (1, 2)
    )
    plan = _busy(_with(plan_of(seed, atomic=False), *troubles))
    return replace(plan, ttl_ms=1_000, little=1, window=3)


def outlives_its_lease(seed: int) -> Plan:
    """The lease is gone while a message of its holder takes its time, and an heir is there."""
    plan = _with(
        plan_of(seed, atomic=False),
        *_each(2, "evicted slow", "publish<", us=900_000, every_us=3 * SECOND // 2),
    )
    return replace(_busy(plan), publish_timeout_ms=3_000)


def asked_oddly(seed: int) -> Plan:
    """Firings by hand, under ids that look like parts of a key."""
    return _busy(_with(plan_of(seed), *_each(4, "asked oddly", every_us=SECOND // 5)))


def half_a_group(seed: int) -> Plan:
    """A message with several parts, one of which cannot be pushed."""
    plan = _busy(_with(plan_of(seed, atomic=True), *_each(1, "term")))
    entries = tuple(
        replace(each, task="group" if n % 2 else "task") for n, each in enumerate(plan.entries)
    )
    return replace(plan, entries=entries)


def restores_twice(seed: int) -> Plan:
    """A second snapshot, from before the loss that was declared of the first."""
    return _with(
        plan_of(seed),
        Trouble(1, SECOND, "restore", us=500_000),
        Trouble(2, 1_450_000, "restore", us=90_000 + 40_000 * (seed % 5)),
    )


def emptied_for_a_while(seed: int) -> Plan:
    """A leader learns that its lease is gone, and then finds it again."""
    trouble = Trouble(1 + seed % 2, 1_500_000, "emptied for a while", us=780_000 + 20_000 * seed)
    return replace(_busy(_with(plan_of(seed), trouble)), ttl_ms=1_000)


def old_after_emptied(seed: int) -> Plan:
    """A snapshot of an older cluster takes the place of one that began empty."""
    restored = Trouble(1, SECOND, "restore", us=1_500_000)
    emptied = Trouble(2, 2 * SECOND, "empty", on="claim>")
    return _busy(_with(plan_of(seed), restored, emptied))


def restores_between_calls(seed: int) -> Plan:
    """A snapshot from between two claims takes the place of what the second did."""
    plan = _with(plan_of(seed), *_each(3, "restored call", "claim<"))
    return replace(plan, entries=CROWD)


def restored_as_it_dies(seed: int) -> Plan:
    """The leader dies as a snapshot is restored: only who stood by has seen what is lost."""
    plan = _with(
        plan_of(seed),
        Trouble(1, SECOND, "restore", us=500_000),
        Trouble(2, 1_450_000, "restore", us=300_000 + 40_000 * (seed % 4)),
        Trouble(3, 1_449_000 + 300_000 + 40_000 * (seed % 4), "kill"),
    )
    return _busy(plan)


def _each(
    times: int,
    kind: str,
    on: str = "",
    us: int = 0,
    first: int = 1,
    every_us: int = SECOND,
    later_us: int = 0,
) -> tuple[Trouble, ...]:
    """The same trouble several times, a second apart."""
    return tuple(
        Trouble(first + n, (n + 1) * every_us + later_us, kind, on, us) for n in range(times)
    )


def _busy(plan: Plan) -> Plan:
    """Entries of the API that keep the leader busy, and are judged by the simplest rules."""
    entries = tuple(
        EntryPlan(f"b{n}", 300 + 100 * n, config=False, spread_ms=250, grace_ms=60_000)
        for n in range(5)
    )
    return replace(plan, entries=entries)


#: All of them; each is clean without a planted bug.
ALL: tuple[Life, ...] = (
    *(stops, restores, fails_over, killed_unwaited, settling_lost),
    *(joins_beside_the_unheard, reconnects_beside_the_unheard, heirs_unheard),
    *(looks_twice_at_once, muted, deafened, frozen_at_the_edge, overtaken, yields),
    *(stopped_only_once, stopped_in_a_burst, dies_with_a_long_lease, renames),
    dies_with_what_cannot_be_kept,
    *(
        renews_late,
        outlives_its_lease,
        asked_oddly,
        half_a_group,
        restores_twice,
        emptied_for_a_while,
        restored_as_it_dies,
    ),
)


def _with(plan: Plan, *troubles: Trouble) -> Plan:
    return replace(
        plan, troubles=troubles, storm_us=4 * SECOND, replicas=3, never_back=True, batch=2
    )
