"""The rows of the fault matrix in docs/evidence/fault-matrix.md: what each fault may cost.

Why, and whether a fault may cause a repeat at all, comes from explanations.py, by which histories
are judged too: the page cannot promise what the checker does not check. This file has the words,
the bound on lateness, and the tests that show it.
`python -m tests.verification.history --write-docs` writes the page.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.verification.history.events import Kind

TTL = "`habeat_lease_ttl`"
FIRES_LATE = "none within the grace; older slots follow `habeat_misfire`"


@dataclass(frozen=True, slots=True)
class Row:
    """One fault: its name for people, repeats with the outbox, misses, lateness, tests."""

    fault: str
    outbox: str
    misses: str
    late: str
    tests: tuple[str, ...]


_STORM = "verification/simulation/storm.py"

ROWS: dict[Kind, Row] = {
    Kind.KILL: Row(
        "leader killed (SIGKILL, out of memory)",
        "messages sent and not yet settled: at most one while little is due (two on RabbitMQ), at "
        "most `habeat_outbox_window` (50) in a burst",
        "none within the grace",
        "0.6 s; in flight with the outbox: one lease",
        ("system/chaos/test_failpoints.py", "system/acceptance/test_kills.py", _STORM),
    ),
    Kind.FREEZE: Row(
        "leader frozen (SIGSTOP, a stalled host)",
        "messages sent and not yet settled, or the packet it was about to write: at most as many "
        "as after a kill",
        "none within the grace",
        f"{TTL} + 1 s",
        ("system/chaos/test_failpoints.py", "system/acceptance/test_freezes.py", _STORM),
    ),
    Kind.TERM: Row(
        "leader stopped (SIGTERM), rolling restart",
        "none",
        "none",
        "0.1 s after its end",
        ("system/chaos/test_failpoints.py", "system/acceptance/test_stopping.py", _STORM),
    ),
    Kind.CUT_OFF: Row(
        "leader cut off from Redis",
        "messages sent that could not be settled: at most twice as many as after a kill",
        "none within the grace",
        f"{TTL} + 1 s",
        ("system/chaos/test_partitions.py", _STORM),
    ),
    Kind.BROKER_CUT: Row(
        "leader cut off from the broker",
        "messages whose confirmation was lost",
        "none within the grace",
        "until another replica reaches the broker: some seconds",
        ("system/chaos/test_partitions.py", "system/acceptance/test_broker_trouble.py"),
    ),
    Kind.LOST_REQUEST: Row(
        "request to Redis lost on the way",
        "only if another replica takes the lease before the settling is repeated",
        "none within the grace",
        "a socket timeout (up to 2 s)",
        (_STORM,),
    ),
    Kind.LOST_REPLY: Row(
        "reply from Redis lost on the way",
        "none",
        "none within the grace",
        "a socket timeout (up to 2 s)",
        (_STORM,),
    ),
    Kind.CONFIRM_LOST: Row(
        "broker took a message, confirmation lost",
        "that message, once per attempt, at most 10 times",
        "at most once: recorded as ambiguous",
        "none: the message was sent",
        ("system/chaos/test_broker_trouble.py", _STORM),
    ),
    Kind.PUBSUB_CUT: Row(
        "leader's pub/sub connection cut",
        "none",
        "at most once: a firing in flight may end as ambiguous",
        "0.6 s; in flight with the outbox: one lease",
        ("system/chaos/test_random.py", _STORM),
    ),
    Kind.REDIS_DOWN: Row(
        "Redis away (killed, restarted with its data)",
        "messages sent that could not be settled",
        "none within the grace",
        "until it answers, + 1 s",
        ("system/chaos/test_redis_trouble.py", "system/acceptance/test_outages.py", _STORM),
    ),
    Kind.REDIS_SLOW: Row(
        "Redis slow, or paused",
        "messages whose settling was under way",
        "none within the grace",
        "until it answers, + 1 s",
        ("system/chaos/test_redis_trouble.py", "system/acceptance/test_outages.py", _STORM),
    ),
    Kind.REDIS_OOM: Row(
        "Redis out of memory (noeviction)",
        "none",
        "none within the grace",
        "until it accepts writes, + 1 s",
        ("system/chaos/test_redis_trouble.py", _STORM),
    ),
    Kind.REDIS_READONLY: Row(
        "Redis read-only",
        "messages sent that could not be settled",
        "none within the grace",
        "until it accepts writes, + 1 s",
        ("system/chaos/test_redis_trouble.py", _STORM),
    ),
    Kind.REDIS_RESTORED: Row(
        "old snapshot of Redis restored",
        "intents that the snapshot still has",
        "slots up to the last answer of the lost timeline: recorded as *history lost*",
        "none afterwards",
        (_STORM,),
    ),
    Kind.REDIS_EMPTIED: Row(
        "Redis emptied, or restarted without data",
        "none",
        "slots up to the last answer before the loss; entries of the API are gone",
        "none afterwards",
        ("system/chaos/test_redis_trouble.py", "system/acceptance/test_outages.py", _STORM),
    ),
    Kind.REDIS_FAILOVER: Row(
        "Redis failed over (Sentinel, Cluster)",
        "messages whose claim or settling was not copied",
        "slots whose records were not copied",
        "until the new master answers, + 1 s",
        ("system/chaos/test_failovers.py", "system/acceptance/test_transports.py", _STORM),
    ),
    Kind.REDIS_CLOCK: Row(
        "clock of Redis' host stepped",
        "none",
        FIRES_LATE,
        "backward: the step; forward: the step, at once",
        ("system/chaos/test_clocks.py", "verification/simulation/test_clocks.py", _STORM),
    ),
    Kind.EVICTED: Row(
        "lease evicted or deleted",
        "none",
        "none within the grace",
        "1 s; in flight with the outbox: one lease",
        ("integration/scripts/test_heirs.py", _STORM),
    ),
    Kind.HOST_CLOCK: Row(
        "wall clock of a beat's host stepped",
        "none",
        "none",
        "none",
        ("system/chaos/test_clocks.py", "verification/simulation/test_clocks.py", _STORM),
    ),
    Kind.BROKER_DOWN: Row(
        "broker away (killed, restarted)",
        "messages it took and did not confirm",
        "none within the grace",
        "until it accepts messages, + 1 s",
        ("system/chaos/test_broker_trouble.py", "system/acceptance/test_outages.py", _STORM),
    ),
    Kind.BROKER_HANGS: Row(
        "broker hangs",
        "messages that timed out and were taken after all",
        "none within the grace",
        "until it accepts messages, + 1 s",
        ("system/chaos/test_broker_trouble.py", "system/acceptance/test_broker_trouble.py", _STORM),
    ),
    Kind.BROKER_LOST: Row(
        "broker loses what it has accepted",
        "none",
        "**not seen**: the ledger says sent",
        "not seen",
        (),
    ),
    Kind.NOBODY: Row(
        "no replica runs for a while",
        "none",
        FIRES_LATE,
        "until one runs",
        ("integration/test_catchup_policies.py",),
    ),
    Kind.EDIT: Row(
        "entry edited, paused or removed as it falls due",
        "none",
        "recorded as skipped, with the reason",
        "none",
        ("verification/stateful/test_public_api.py", _STORM),
    ),
    Kind.DEPLOY: Row(
        "rolling deploy, two versions of the code at once",
        "none",
        "none; an entry that only the other version knows waits",
        "0.1 s at each change of leader",
        ("system/chaos/test_deploys.py", _STORM),
    ),
    Kind.POISON: Row(
        "unreadable definition, or a message that cannot be built",
        "none",
        "only that entry: quarantined, or recorded as failed",
        "none for other entries",
        ("system/chaos/test_poison.py", "system/acceptance/test_foreign_state.py", _STORM),
    ),
}
