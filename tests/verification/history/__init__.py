"""Histories and the one checker that judges them, for simulation and chaos alike.

How to use
----------
Collect events (events.py) in the order in which they happened, say what is expected, judge:

    from tests.verification.history.checker import judge
    from tests.verification.history.events import Arrival, Expectation, Fault, Kind, Lost, Write

    expectation = Expectation(base="{habeat:proj}:", ttl_us=6_000_000, atomic=False)
    verdict = judge(events, expectation)
    assert not verdict.problems, "\\n\\n".join(verdict.problems)
    total_lateness += verdict.lateness          # mergeable; print(total_lateness)

Of a simulated server: a `Write` for each command of `events.NEEDED` (and SET of fired:…) that had
an effect, a `ScriptEnd` after each script that wrote, `Lost(kept=…)` with what is left.

Of a real server:

    monitor = Monitor(server.client, "{habeat:proj}:", queues=["celery"]).start()
    …                                           # beats run, faults are made and noted
    recorded = monitor.stop()                   # Writes, ScriptEnds, Arrivals on Redis, Gaps
    verdict = judge(merged(recorded, arrivals, faults), replace(expectation, slack_us=50_000))

Write faults down as `Fault(kind, start_us, end_us, victim)` by the clock of the Redis host, where
`victim` is the replica's nonce (the part of the lease after the colon) or "" for all. A fault
explains a duplicate only by its kind, its victim and its moment together: explanations.py.
Where messages are read at the end of a test, say `exact_arrivals=False`. `tail_us` is for runs
that are cut off in the middle of life; 0 for those that were stopped in order. Task ids tell the
messages of requests from those of the schedule if `cluster` is given.

A slot that waits while nothing disturbs is an error (bounds.py): give `prompt_us` for how long a
loop on that machine may take, and name a fault's `entry` if it concerns no other.

One slot is one message here: do not use canvas groups.
"""
