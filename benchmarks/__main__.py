"""``make bench`` runs them all; ``python -m benchmarks takeover --times 10`` one of them.

next_after: what it costs to find the next slot, beside croniter and cronsim (its own module tells
the method).

takeover: how long nobody leads after the leading beat is stopped (SIGTERM) or killed (SIGKILL),
with three beats on one machine, habeat with its default settings, beside RedBeat tuned for quick
takeover, one after the other in the same run on the same server.

Method. One Valkey, one entry of one second in its other database, three beats, one leads. The
moment of the signal is read from the server's clock (TIME) just before the signal is sent. For
habeat the moment of takeover is the one that Redis kept: ``meta.leader_since``, microseconds of
the same clock, written by the script that took the lease. RedBeat keeps no such moment: the
value of its lock (``redbeat::lock``) is polled every 2 ms, and the moment is the server's clock
at the first poll that reads another value; so up to some 3 ms are added to its figures, which
are thousands. The beat is then started again and given time to settle before the next signal.

RedBeat has ``redbeat_lock_timeout = 5`` and ``beat_max_loop_interval = 1``: its defaults are
1,500 s and 300 s. A shorter timeout would make its lock run out while it works. What bounds it
after SIGKILL is the lock's timeout, and after SIGTERM the standby's poll.

The raw figures go to ``benchmarks/results/``, with the versions that they were measured with.
"""

from __future__ import annotations

import argparse
import sys

from benchmarks import next_after
from benchmarks.takeover import run


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__.split("\n")[0]
    )
    commands = parser.add_subparsers(dest="command")
    takeover = commands.add_parser("takeover", help="how long nobody leads")
    takeover.add_argument("--times", type=int, default=10, help="of each signal (default 10)")
    takeover.add_argument("--only", choices=["habeat", "redbeat"], help="leave the other out")
    commands.add_parser("next_after", help="what it costs to find the next slot", add_help=False)
    parser.set_defaults(command=None, times=10, only=None)
    given, rest = parser.parse_known_args()
    status = 0
    if given.command in (None, "next_after"):
        status |= next_after.main(rest)
    if given.command in (None, "takeover"):
        status |= run(given.times, given.only)
    return status


if __name__ == "__main__":
    sys.exit(main())
