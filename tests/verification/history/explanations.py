"""What each kind of fault may cause, derived from the protocol; the fault matrix quotes this.

The rule behind the column `outbox`. A message is sent a second time only if its intent was still
in `:inflight` after it had reached the broker: the leader publishes, then settles (unfenced), and
a replica recovering intents restamps them (fenced), counts (mark), and publishes again. So a second
copy needs one of three things:

- the sender of the earlier copy could not settle: it died, was stopped, or Redis did not take the
  write, until another replica recovered the intent. It settles before it recovers anything
  itself, so a settle that failed only costs copies if the lease changes hands before the next.
- the sender did not know that its message had arrived: the confirmation was lost.
- the sender of the later copy was held up between its last look at the trust period and the
  socket, or its bytes were held up on the way, while another replica did the work.

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
    """Which victim a fault must have had to explain that one copy followed another."""

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
        "The leader was killed after the broker took its messages and before it sent their "
        "settling. The successor finds the intents and sends them again, with the same task "
        "ids.",
    ),
    Kind.FREEZE: Explanation(
        Hits.EITHER,
        True,
        "The leader was frozen for longer than its lease. If it froze between publish and "
        "settle, its successor sends the message again. If it froze between its last check of "
        "the trust period and the write to the socket, its own stale message follows when it "
        "wakes.",
        itself=True,
    ),
    Kind.TERM: Explanation(
        Hits.NOBODY,
        False,
        "A stopping leader finishes and settles the messages it has under way, then releases "
        "the lease.",
    ),
    Kind.CUT_OFF: Explanation(
        Hits.EARLIER,
        True,
        "A leader that can no longer reach Redis may still publish within its trust period but "
        "cannot settle. When its lease ends, the successor sends the intent again.",
    ),
    Kind.BROKER_CUT: Explanation(
        Hits.EITHER,
        True,
        "The broker may have taken the message whose confirmation never arrived, or may receive"
        " it late from the network, after it was sent again.",
        itself=True,
    ),
    Kind.LOST_REQUEST: Explanation(
        Hits.EARLIER,
        True,
        "A settling that did not arrive is repeated before anything is recovered, unless "
        "another replica has the lease by then.",
    ),
    Kind.LOST_REPLY: Explanation(
        Hits.NOBODY,
        True,
        "Redis did what it was asked to do. A claim without a reply is published once, by "
        "recovery; a settling without a reply has settled; a mark without a reply only uses up "
        "an attempt.",
    ),
    Kind.CONFIRM_LOST: Explanation(
        Hits.EARLIER,
        True,
        "The broker has the message and the sender does not know. It is sent again with the "
        "same task id; a message that may not be repeated is recorded as ambiguous.",
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
        "A live leader looks dead and loses its lease. Its intents are left alone until it can "
        "no longer trust that lease. An intent that may be sent only once and was not published"
        " yet ends as ambiguous.",
    ),
    Kind.REDIS_DOWN: Explanation(
        Hits.ANY,
        True,
        "Messages that were published and could not be settled are sent again if another "
        "replica leads first once Redis is back.",
    ),
    Kind.REDIS_SLOW: Explanation(
        Hits.ANY,
        True,
        "A settling under way while the lease runs out may be overtaken by the successor's "
        "recovery.",
    ),
    Kind.REDIS_OOM: Explanation(
        Hits.NOBODY,
        True,
        "A claim is refused as a whole. Settling and renewing begin with a write that needs no "
        "memory, after which Redis lets the rest of the script through.",
    ),
    Kind.REDIS_READONLY: Explanation(
        Hits.ANY,
        True,
        "Redis accepts neither settling nor renewal. Once it accepts writes again, another "
        "replica may lead and recover before the old leader has settled.",
    ),
    Kind.REDIS_RESTORED: Explanation(
        Hits.NOBODY,
        True,
        "Claims and settlings made after the snapshot are forgotten, so an intent that the "
        "snapshot contains is sent again. Slots up to the last answer of the lost timeline are "
        "recorded and do not fire; for later slots the entry's delivery decides.",
        loses=True,
    ),
    Kind.REDIS_EMPTIED: Explanation(
        Hits.NOBODY,
        True,
        "No intent and no cursor is left, and recreated entries start at the first slot after "
        "the loss. Nothing is sent again, except requests that a caller repeats.",
        loses=True,
    ),
    Kind.REDIS_FAILOVER: Explanation(
        Hits.ANY,
        True,
        "As when Redis is down; in addition, writes that the new master never received are "
        "lost, claims and settlings among them (habeat_wait_redis_replicas narrows this).",
        loses=True,
    ),
    Kind.REDIS_CLOCK: Explanation(
        Hits.NOBODY,
        True,
        "A step forward ends the lease in Redis while its holder, by its own monotonic clock, "
        "still trusts it. The successor leaves the holder's intents alone for one lease. Slots "
        "can fall outside their grace.",
    ),
    Kind.EVICTED: Explanation(
        Hits.NOBODY,
        True,
        "A lease that disappears early changes hands while its holder still trusts it. The "
        "holder's claims fail, and its intents are left alone for one lease. An intent that may"
        " be sent only once and was not published yet ends as ambiguous.",
    ),
    Kind.BROKER_DOWN: Explanation(
        Hits.ANY,
        True,
        "A broker that goes down after taking a message and before confirming it leaves the "
        "sender without an answer; the message is sent again.",
        itself=True,
    ),
    Kind.BROKER_HANGS: Explanation(
        Hits.ANY,
        True,
        "A publish that timed out may still be carried out when the broker recovers, after the "
        "message was sent again.",
        itself=True,
    ),
    Kind.BROKER_LOST: Explanation(
        Hits.NOBODY,
        True,
        "habeat does not notice when a broker loses a message it has accepted: the ledger says "
        "sent.",
    ),
    Kind.NOBODY: Explanation(
        Hits.NOBODY,
        True,
        "Slots that fell due while no replica ran are found late, or after their grace.",
    ),
    Kind.EDIT: Explanation(
        Hits.NOBODY,
        True,
        "An edit compares the entry's cursor with the one it read, and records the due slots "
        "that will not fire. What is in flight is still sent, once. If a pause is resumed where"
        " it began, the catch-up policy decides about its slots.",
    ),
    Kind.DEPLOY: Explanation(
        Hits.NOBODY,
        True,
        "Only the leader reconciles, and an older deploy never overwrites the entries of a "
        "newer one. An entry that the leader's code cannot resolve waits.",
    ),
    Kind.POISON: Explanation(
        Hits.NOBODY,
        True,
        "A bad entry is quarantined or fails on its own; the others are not affected.",
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
