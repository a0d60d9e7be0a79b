"""Real processes, real servers, real faults; the checker that judges the simulation judges them.

A scenario is a fleet of beats with a hundred entries or so (`arena.py`), faults that are injected
and noted with their time and victim (`inflicting.py`), a quiet end, and a verdict on everything
that the servers received (recorded by MONITOR) and on all messages that reached the broker.

`failpoints.py` runs inside the beats: it kills, freezes or stops its own process just before
a request leaves, or just after the server has carried it out and before the reply is read.

    HABEAT_FULL=1         every point on both sides with every signal, longer runs
    HABEAT_CHAOS_SEED=7   the faults of the randomised scenario; HABEAT_CHAOS_MINUTES=10
    HABEAT_CHAOS_BUILD=…  where chaos-figures.json and the logs of what failed go (build/)
"""
