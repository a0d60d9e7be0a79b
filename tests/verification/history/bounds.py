"""How late a slot may be, and how long a fault is felt: every bound that the checker holds, named.

The rule of lateness (waiting.py): while nothing disturbs, a due slot waits no longer than
`prompt_us`. Time counts as disturbed from the start of a fault until `felt_us` after its end. So
with no fault open a firing is not later than `prompt_us`, and after the last fault it is not later
than `felt_us + prompt_us`: one rule for both. What an entry's own pace holds back is added, slot by
slot, and nothing else.

    prompt_us     the longest pause of a loop that works, and a call of the slow kind behind it
    felt_us       two leases (one has to run out; the trust in a stolen one has to end, before its
                  intents are sent again), a third of one (the slowest look of a standby), the
                  longest back-off of the loop, and two calls that end in their time limit
    handover_us   a lease that was given back is taken: the pub/sub message, a look, a script

The first and the last depend on how busy the machine is, so they come with the expectation
(events.py): half a second, and a quarter, in virtual time; more for real processes.
"""

from __future__ import annotations

from tests.verification.history.events import Expectation, Fault, Kind

#: The loop's longest back-off: `engine.loop.BACKOFF_MS`.
BACKOFF_US = 1_000_000
#: What the code of one replica cannot express waits this long: `engine.loop.UNRESOLVED_WAIT_MS`.
UNRESOLVED_US = 30_000_000
#: The longest pause between two tries to build a message: `engine.render.WAIT_MS`.
RENDER_PAUSE_US = 4_000_000
#: An idle leader ticks this often, and then sees that a pause is over.
RENEW_US = 1_000_000
#: What another entry's trouble may cost: a part of a turn of the loop (`engine.dispatch.TURN_MS`).
NEIGHBOUR_US = 500_000
#: Slots up to the moment at which a replica reads an entry go by what is read then.
READS_US = 1_000

#: A replica that handed over because its broker failed stays away this long:
#: `beat.replica.SIT_OUT_MS`.
SIT_OUT_US = 60_000_000

#: A loss is noticed by then, where its leader had calls under way that are read in any order.
NOTICED_MS = 10_000

#: What delays nothing by itself. An edit moves what it touches: waiting.py counts from there.
HARMLESS = frozenset({Kind.HOST_CLOCK, Kind.BROKER_LOST, Kind.EDIT})


#: Faults that do not keep a standby from taking a released lease.
NO_HINDRANCE = HARMLESS | {
    *(Kind.TERM, Kind.DEPLOY, Kind.KILL, Kind.POISON, Kind.EVICTED, Kind.CONFIRM_LOST),
}
_OF_THE_BROKER = (Kind.BROKER_DOWN, Kind.BROKER_CUT, Kind.BROKER_HANGS)


def hinders_us(fault: Fault, expectation: Expectation) -> int:
    """How long after its end a fault may keep a standby from noticing and taking a lease."""
    if fault.kind in _OF_THE_BROKER:
        return SIT_OUT_US
    return BACKOFF_US + expectation.timeout_us


def felt_us(fault: Fault, expectation: Expectation) -> int:
    """How long after its end a fault may still delay something."""
    ttl_us = expectation.ttl_us
    us = 2 * ttl_us + ttl_us // 3 + BACKOFF_US + 2 * expectation.timeout_us
    if fault.kind is Kind.DEPLOY:
        us += UNRESOLVED_US
    if fault.kind is Kind.POISON:
        us += RENDER_PAUSE_US
    return us
