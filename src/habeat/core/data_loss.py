"""What a replica knows of Redis' timeline, how it detects a loss, and what a loss means for slots.

Redis can lose acknowledged writes: a snapshot is restored, or a failover promotes a Redis replica
that lacks the last writes. A fenced call carries the heartbeat that its caller knows, and a Redis
with a lower one refuses the call. Losses that a heartbeat cannot show are *suspected* here: two
answers with the same heartbeat, a declared loss that is forgotten, or an old token of ours that
comes back.

The next tick of a leader that was refused, or that suspects a loss, *declares* the loss. Two
instants of Redis' time bound it:

`Loss.until_ms`
    The latest instant at which the lost timeline answered the replica that declares the loss. A
    slot up to it may have been claimed, so it never fires again from a cursor that moved back.
`Loss.declared_ms`
    The moment of the declaration. Between the two, the old master may or may not have answered a
    leader that died with it: an entry's `delivery` decides about these slots. Later slots are
    simply late.

If the first is unknown, because the declarer never got an answer, both are the same instant.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

#: How many heartbeats of past answers are compared; more than the calls that can be pending.
ANSWERS_KEPT = 64


@dataclass(frozen=True, slots=True)
class Loss:
    """The last declared loss; zeros if there was none."""

    until_ms: int = 0
    declared_ms: int = 0


NO_LOSS = Loss()


@dataclass(frozen=True, slots=True)
class Known:
    """What is known about a timeline; a store that knows less has lost data.

    `answered_ms` is the latest instant, by Redis' clock, at which this timeline answered; 0 if it
    never did.
    """

    cluster: str = ""
    epoch: int = 0
    heartbeat: int = 0
    loss: Loss = NO_LOSS
    answered_ms: int = 0


class Knowledge:
    """The most recent knowledge of the timeline, kept until its loss is declared."""

    def __init__(self) -> None:
        self.known = Known()
        #: Whether Redis may have lost data and the loss is not declared yet.
        self.loss_suspected = False
        self._heartbeats: deque[int] = deque(maxlen=ANSWERS_KEPT)

    @property
    def lost_after_ms(self) -> int | None:
        """When the lost timeline last answered us (0: never), if a loss must be declared."""
        return self.known.answered_ms if self.loss_suspected else None

    def looked(self, found: Known) -> None:
        """Take in what a standby has read."""
        mine = self.known
        if not found.cluster and mine.cluster:
            return  # Redis was emptied: the next acquisition declares the loss
        if found.cluster != mine.cluster and found.epoch < mine.epoch:
            return  # an older timeline replaced ours: the next acquisition declares the loss
        if found.cluster != mine.cluster or found.loss.declared_ms > mine.loss.declared_ms:
            self.known, self.loss_suspected = found, False  # another replica declared the loss
            return
        forgotten = found.loss.declared_ms < mine.loss.declared_ms
        self.loss_suspected |= forgotten
        behind = found.epoch < mine.epoch or found.heartbeat < mine.heartbeat
        if behind or self.loss_suspected:  # the answer may come from another timeline
            found = replace(found, answered_ms=0)
        self.known = replace(
            found,
            epoch=max(mine.epoch, found.epoch),
            heartbeat=max(mine.heartbeat, found.heartbeat),
            answered_ms=max(mine.answered_ms, found.answered_ms),
        )

    def counted(self, heartbeat: int) -> None:
        """Take in the heartbeat of the answer to a fenced call.

        Each call increments it, so two answers with the same heartbeat come from two timelines: an
        older state was restored between the calls. Answers may be read in any order.
        """
        if heartbeat in self._heartbeats:
            self.loss_suspected = True
        self._heartbeats.append(heartbeat)
        self.known = replace(self.known, heartbeat=max(self.known.heartbeat, heartbeat))

    def answered(self, now_us: int) -> None:
        """Record that this timeline answered at `now_us`, unless it may be another timeline."""
        if not self.loss_suspected:
            answered_ms = max(self.known.answered_ms, now_us // 1_000)
            self.known = replace(self.known, answered_ms=answered_ms)

    def remembers(self, loss: Loss) -> bool:
        """Whether Redis remembers the last declared loss.

        A restored state can be older than that loss and still have a higher heartbeat than ours.
        """
        forgotten = loss.declared_ms < self.known.loss.declared_ms
        self.loss_suspected |= forgotten
        return not forgotten

    def begin(self, found: Known) -> None:
        """Start from `found`, because we lead now or a loss was declared."""
        self.known, self.loss_suspected = found, False
        self._heartbeats.clear()
        self._heartbeats.append(found.heartbeat)

    def won(self, found: Known, *, declared: bool, token_came_back: bool) -> None:
        """Take in a won lease; a loss that the acquisition did not declare stays suspected."""
        same = found.cluster == self.known.cluster
        suspected = token_came_back or self.loss_suspected
        if not declared and (suspected or (same and not self.remembers(found.loss))):
            self.begin(replace(found, answered_ms=self.known.answered_ms))
            self.loss_suspected = True
        else:
            self.begin(found)
