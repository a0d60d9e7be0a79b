"""What each kind of fault may cause, derived from the protocol; the fault matrix quotes this.

The rule behind the column `outbox`. A message is sent a second time only if its intent was still
in `:inflight` after it had reached the broker: the leader publishes, then settles (unfenced), and
whoever recovers intents restamps them (fenced), counts (mark), and publishes again. So a second
copy needs one of three things:

- the sender of the earlier copy could not settle: it died, was stopped, or Redis did not take the
  write, until somebody else recovered the intent. It settles before it recovers anything
  itself, so a settle that failed only costs copies if the lease changes hands before the next.
- the sender did not know that its message had arrived: the confirmation was lost.
- the sender of the later copy was held up between its last look at the trust window and the
  socket, or its bytes were held up on the way, while somebody else did the work.

A lease that was stolen, or that vanished before its time (evicted, ended by a step of Redis'
clock), is none of them: an heir leaves the last leader's intents alone for a lease, unless the
lease was given back.

The rule behind the column `atomic`: claim, message and settling are one script, so there is no
moment between them. Only if Redis loses what it acknowledged can a slot be claimed again.

A miss is always in the ledger. The column `miss` says whether this kind can be the reason why a
slot has `missed` (found beyond its grace), `failed` or `ambiguous` there.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from tests.verification.history.events import Kind


class Hits(Enum):
    """Whom a fault must have hit to explain that one copy was followed by another."""

    NOBODY = auto()  # it explains no duplicate
    EARLIER = auto()  # the sender of the earlier copy
    EITHER = auto()  # the sender of the earlier or of the later copy
    ANY = auto()  # Redis, the broker, the network: everybody


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a kind of fault may cause, and why, in a sentence for the fault matrix.

    outbox: what it explains without a loss of data, which the atomic dispatch needs always.
    loses: it can take acknowledged writes away; with a Lost event it explains a duplicate of either
    dispatch, of a slot whose claim or settling was lost.
    itself: it explains that one process sends twice. That one settles what has left before it sends
    anything again, so it must not have known that its message had left.
    """

    outbox: Hits
    miss: bool
    why: str
    loses: bool = False
    itself: bool = False


EXPLANATIONS: dict[Kind, Explanation] = {
    Kind.KILL: Explanation(
        Hits.EARLIER,
        True,
        "A leader killed after the broker took its messages and before their settling was sent: "
        "the successor finds the intents and sends them again, under the same task ids.",
    ),
    Kind.FREEZE: Explanation(
        Hits.EITHER,
        True,
        "A leader frozen longer than its lease: between publish and settle its message is sent "
        "again by the successor; between its last look at the trust window and the socket, its "
        "own stale message follows when it wakes.",
        itself=True,
    ),
    Kind.TERM: Explanation(
        Hits.NOBODY,
        False,
        "A polite stop finishes and settles the messages that it has under way, then gives the "
        "lease back.",
    ),
    Kind.CUT_OFF: Explanation(
        Hits.EARLIER,
        True,
        "A leader that no longer reaches Redis may still publish inside its trust window and "
        "cannot settle; its lease ends, and the successor sends the intent again.",
    ),
    Kind.BROKER_CUT: Explanation(
        Hits.EITHER,
        True,
        "The broker may have taken the message whose confirmation never came, or may get it "
        "late from the network, after it was sent again.",
        itself=True,
    ),
    Kind.LOST_REQUEST: Explanation(
        Hits.EARLIER,
        True,
        "A settle that did not arrive is repeated before anything is recovered, unless the lease "
        "has gone to somebody else by then.",
    ),
    Kind.LOST_REPLY: Explanation(
        Hits.NOBODY,
        True,
        "Redis did what was asked: a claim without a reply is published once by recovery, a "
        "settle without a reply has settled, a mark without a reply only uses up an attempt.",
    ),
    Kind.CONFIRM_LOST: Explanation(
        Hits.EARLIER,
        True,
        "The broker has the message and the sender does not know it: it is sent again under "
        "the same task id; one that may not be repeated is recorded as ambiguous.",
        itself=True,
    ),
    Kind.HOST_CLOCK: Explanation(
        Hits.NOBODY,
        False,
        "No decision reads the wall clock of a beat host.",
    ),
    Kind.PUBSUB_CUT: Explanation(
        Hits.NOBODY,
        True,
        "A live leader looks dead and loses its lease; its intents are left alone until its trust "
        "has ended. One that may be sent only once and was not yet published ends as ambiguous.",
    ),
    Kind.REDIS_DOWN: Explanation(
        Hits.ANY,
        True,
        "What was published and could not be settled is sent again, if another replica is "
        "faster to lead when Redis is back.",
    ),
    Kind.REDIS_SLOW: Explanation(
        Hits.ANY,
        True,
        "A settle that is under way while the lease runs out may be overtaken by the recovery of "
        "the successor.",
    ),
    Kind.REDIS_OOM: Explanation(
        Hits.NOBODY,
        True,
        "A claim is refused whole; settling and renewing begin with a write that needs no memory, "
        "and Redis then lets the rest of the script through.",
    ),
    Kind.REDIS_READONLY: Explanation(
        Hits.ANY,
        True,
        "Neither settle nor renewal is taken; when writes are, another replica may lead and "
        "recover before the old leader has settled.",
    ),
    Kind.REDIS_RESTORED: Explanation(
        Hits.NOBODY,
        True,
        "Claims or settlings made after the snapshot are forgotten: an intent in it is sent "
        "again. Slots up to the last answer of the lost history are recorded, not fired; after it "
        "the entry's delivery decides.",
        loses=True,
    ),
    Kind.REDIS_EMPTIED: Explanation(
        Hits.NOBODY,
        True,
        "No intent and no cursor is left, and entries made anew start at the first slot after "
        "the loss: nothing is sent again but requests that somebody makes again.",
        loses=True,
    ),
    Kind.REDIS_FAILOVER: Explanation(
        Hits.ANY,
        True,
        "As Redis being down; and writes that the new primary never got are lost, claims and "
        "settlings among them (habeat_wait_redis_replicas narrows this).",
        loses=True,
    ),
    Kind.REDIS_CLOCK: Explanation(
        Hits.NOBODY,
        True,
        "A step forward ends the lease in Redis while its holder, by its own monotonic clock, "
        "still trusts it: the successor leaves its intents alone for a lease. Slots can come to "
        "lie beyond their grace.",
    ),
    Kind.EVICTED: Explanation(
        Hits.NOBODY,
        True,
        "A lease that is gone before its time changes hands while its holder still trusts it: the "
        "claims of that one fail, and its intents are left alone for a lease. One that may be sent "
        "only once and was not yet published ends as ambiguous.",
    ),
    Kind.BROKER_DOWN: Explanation(
        Hits.ANY,
        True,
        "A broker that goes down between taking a message and confirming it leaves its sender in "
        "the dark; it is sent again.",
        itself=True,
    ),
    Kind.BROKER_HANGS: Explanation(
        Hits.ANY,
        True,
        "A publish that timed out may be carried out when the broker wakes, after it was sent "
        "again.",
        itself=True,
    ),
    Kind.BROKER_LOST: Explanation(
        Hits.NOBODY,
        True,
        "A broker that loses what it has accepted is not noticed: the ledger says sent.",
    ),
    Kind.NOBODY: Explanation(
        Hits.NOBODY,
        True,
        "Slots that fell due while no replica ran are found late, or beyond their grace.",
    ),
    Kind.EDIT: Explanation(
        Hits.NOBODY,
        True,
        "An edit compares with the cursor that it read, and records the due slots that will not "
        "fire; what is in flight still goes out, once. A pause that is taken up where it began "
        "leaves its slots to the catch-up policy.",
    ),
    Kind.DEPLOY: Explanation(
        Hits.NOBODY,
        True,
        "Only the leader reconciles, and an older deploy never overwrites a newer one's entries; "
        "an entry that the leader's code cannot resolve waits.",
    ),
    Kind.POISON: Explanation(
        Hits.NOBODY,
        True,
        "One bad entry is quarantined or fails by itself; the others do not notice.",
    ),
}


def explains(
    kind: Kind, *, hit_earlier: bool, hit_later: bool, outbox: bool, itself: bool = False
) -> bool:
    """Whether a fault of this kind can have made one copy of a message follow another.

    hit_earlier, hit_later: it hit the sender of that copy, or everybody. itself: both were sent by
    the same process. A loss of data is looked at by itself, by what was left of that slot (`loses`
    only says whose Lost events those are).
    """
    if not outbox or (itself and not EXPLANATIONS[kind].itself):
        return False
    match EXPLANATIONS[kind].outbox:
        case Hits.NOBODY:
            return False
        case Hits.EARLIER:
            return hit_earlier
        case Hits.EITHER:
            return hit_earlier or hit_later
        case Hits.ANY:
            return True
