"""What a replica knows of Redis' history, how it notices a loss, and what a loss means for slots.

Redis can lose what it acknowledged: a snapshot is restored, or a failover promotes a primary that
lacks the last writes. A fenced call carries the heartbeat that its caller knows, and a Redis that
knows less refuses it. What a heartbeat cannot show is *suspected* here: two answers with the same
one, a declared loss that is forgotten, a token of ours that comes back.

The next tick of a leader that was refused, or that suspects a loss, *declares* it. Two instants of
Redis' time bound what was lost:

`Loss.until_ms`
    The latest instant at which the lost history answered the replica that declares the loss. A
    slot up to it may have been claimed, so it never fires again from a cursor that went back.
`Loss.declared_ms`
    The moment of the declaration. Between the two the old primary may have answered a leader that
    died with it, or nobody: an entry's `delivery` decides there. Slots after it are merely late.

Where the first is not known (the declarer was never answered), both are the same instant.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

#: So many heartbeats of answers are compared: more than there are ever calls under way.
ANSWERS_KEPT = 64


@dataclass(frozen=True, slots=True)
class Loss:
    """The last loss that was declared; zeros if there was none."""

    until_ms: int = 0
    declared_ms: int = 0


NO_LOSS = Loss()


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a history; a store that knows less has lost data.

    `answered_ms` is the latest instant, by Redis' clock, at which this history answered; 0 if it
    never did.
    """

    cluster: str = ""
    epoch: int = 0
    heartbeat: int = 0
    loss: Loss = NO_LOSS
    answered_ms: int = 0


class Knowledge:
    """The most that was ever known, until the loss of it has been declared."""

    def __init__(self) -> None:
        self.known = Known()
        #: Redis may have lost data, and this has not been declared yet.
        self.loss_suspected = False
        self._heartbeats: deque[int] = deque(maxlen=ANSWERS_KEPT)

    @property
    def lost_after_ms(self) -> int | None:
        """If a loss is to be declared: when the lost history last answered us (0: never)."""
        return self.known.answered_ms if self.loss_suspected else None

    def looked(self, found: Known) -> None:
        """A standby has looked."""
        mine = self.known
        if not found.cluster and mine.cluster:
            return  # emptied: the next acquisition declares it
        if found.cluster != mine.cluster and found.epoch < mine.epoch:
            return  # an older history has taken the place of ours: likewise
        if found.cluster != mine.cluster or found.loss.declared_ms > mine.loss.declared_ms:
            self.known, self.loss_suspected = found, False  # somebody has declared the loss
            return
        forgotten = found.loss.declared_ms < mine.loss.declared_ms
        self.loss_suspected |= forgotten
        behind = found.epoch < mine.epoch or found.heartbeat < mine.heartbeat
        if behind or self.loss_suspected:  # not an answer of the history that we know
            found = replace(found, answered_ms=0)
        self.known = replace(
            found,
            epoch=max(mine.epoch, found.epoch),
            heartbeat=max(mine.heartbeat, found.heartbeat),
            answered_ms=max(mine.answered_ms, found.answered_ms),
        )

    def counted(self, heartbeat: int) -> None:
        """A fenced call was answered with this heartbeat.

        Each call moves it, so two answers with the same one are of two histories: a snapshot from
        between the calls was restored between them. They may be read in any order.
        """
        if heartbeat in self._heartbeats:
            self.loss_suspected = True
        self._heartbeats.append(heartbeat)
        self.known = replace(self.known, heartbeat=max(self.known.heartbeat, heartbeat))

    def answered(self, now_us: int) -> None:
        """This history has answered us; not if it may be another one."""
        if not self.loss_suspected:
            answered_ms = max(self.known.answered_ms, now_us // 1_000)
            self.known = replace(self.known, answered_ms=answered_ms)

    def remembers(self, loss: Loss) -> bool:
        """Whether Redis remembers the loss that was last declared.

        What came back may be older than that loss, and its heartbeat above ours.
        """
        forgotten = loss.declared_ms < self.known.loss.declared_ms
        self.loss_suspected |= forgotten
        return not forgotten

    def begin(self, found: Known) -> None:
        """We lead, or a loss was declared: nothing more than `found` is expected from now on."""
        self.known, self.loss_suspected = found, False
        self._heartbeats.clear()
        self._heartbeats.append(found.heartbeat)

    def won(self, found: Known, *, declared: bool, token_came_back: bool) -> None:
        """We lead; what acquiring the lease has not declared is still suspected."""
        same = found.cluster == self.known.cluster
        suspected = token_came_back or self.loss_suspected
        if not declared and (suspected or (same and not self.remembers(found.loss))):
            self.begin(replace(found, answered_ms=self.known.answered_ms))
            self.loss_suspected = True
        else:
            self.begin(found)
