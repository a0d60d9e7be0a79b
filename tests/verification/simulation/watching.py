"""Checks that only the simulation can make, besides those of every history.

The checker of histories judges writes and messages. Here are conditions that need more: who made
a call, which subscriptions were open, what was paused, which definition a message was made from.

STALE     a claim carries a message made from a definition that is not the stored one any more
PAUSED    an entry fired while it was paused
RELEASE   a lease was released by a replica that did not hold it
STEAL     a lease was stolen from a holder that was heard of a moment before, or is listening
RESTAMP   taking an intent over counted as an attempt to send it
FORGOT    a leader that had seen more of the history than Redis has now fired a slot again, or
          a replica came to lead that had, and the loss was not declared. (Not where the clock of
          Redis has stepped back besides: the slot lies ahead of the loss then, by that clock.
          Nor by a request that was sent before it knew, and arrives late; nor where an answer
          from after the loss, which would have shown it, was lost; nor where the WAIT behind
          its claim failed, so that it did not use the answer, and sent no message.)
EPOCH     a replica leads under an epoch that is not above the highest that it knows
OVERWRITE a definition was written by a client that had read an older one than it replaced
LOST      a slot is called lost with the history, and was due after that had last answered
COPIED    a message left before a Redis replica had its claim, where that is waited for
TRUST     a leader trusts its lease from later on than its last extension was carried out
RESEED    after Redis was emptied, an entry began with slots from before
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from habeat.core.lease import SECOND_LOOK_MS
from tests.verification.history.bounds import NOTICED_MS
from tests.verification.history.events import Arrival
from tests.verification.simulation.model import Words
from tests.verification.simulation.world import Host

if TYPE_CHECKING:
    from tests.verification.simulation.run import Simulation

_REV = re.compile(rb'"rev": (\d+)')
#: Scripts that move the heartbeat if their answer is "ok".
BEATS = {
    "tick",
    "claim",
    "skip",
    "mark",
    "recover",
    "defer",
    "drop",
    "quarantine",
    "asked",
    "put_off",
    "circuits",
}
#: Those by whose answers a replica keeps up with the heartbeat, and notices a loss.
TELLING = {"claim", "tick"}


class Watching:
    """Watches, and keeps what it finds wrong."""

    #: A replica counts in milliseconds, and its clock may go faster than the world's.
    _COARSE_US = 5_000

    def __init__(self, sim: Simulation) -> None:
        self._sim = sim
        base = sim.keys.base.encode()
        self._lease, self._inflight = base + b"lease", base + b"inflight"
        self._state, self._fired = base + b"state", base + b"fired:"
        self._entries = base + b"entries"
        self._claiming = b"settled" if sim.plan.atomic else b"inflight"
        self.problems: list[str] = []
        self._holder, self._token = "", b""
        #: When each lease was last extended, since the world began.
        self._extended_us: dict[str, int] = {}
        self._beat_us: dict[str, int] = {}
        #: When data was last lost: the heart may beat up to what was seen before.
        self._loss_us = 0
        self._intents: dict[bytes, list[bytes]] = {}
        #: (entry, identity) -> (nonce, when) of its claim.
        self._claims: dict[bytes, tuple[str, int]] = {}
        #: How far the clock of Redis was ahead of the world's when each was claimed.
        self._offsets_us: dict[bytes, int] = {}
        #: (entry, identity) -> nonce of claims that are lost, by claimants that know it.
        self._lost: dict[bytes, str] = {}
        #: The same, by claimants who will know it if the reply reaches them.
        self._unheard: dict[bytes, tuple[str, int]] = {}
        #: When the last claim or tick of a replica ran that it waited for, and the last of those
        #: whose answer has reached it.
        self._called_us: dict[str, int] = {}
        self._heard_us: dict[str, int] = {}
        self._revs: dict[bytes, int] = {}
        self._texts: dict[bytes, bytes] = {}
        self._began_ms = self._lost_us = 0
        #: The latest instant by Redis' clock at which it answered a client, and the same at a loss.
        self._answered_ms = self._answered_until_ms = 0
        self._ledger = base + b"ledger"
        self._begun: set[bytes] = set()

    def wrong(self, text: str) -> None:
        at_s = (self._sim.world.now_us - self._sim.world.start_us) / 1e6
        self.problems.append(f"{text} (at +{at_s:.6f})")

    # -- writes -----------------------------------------------------------------------------

    def wrote(self, words: Words) -> None:
        """A write of the schedule, in the middle of its script."""
        name, key = words[0], words[1]
        if key == self._lease:
            if name != b"PEXPIRE":
                self._on_lease(name, words)
            else:
                self._extended(self._token)
        elif key == self._inflight:
            self._on_intent(name, words)
        elif key == self._state:
            if name == b"HSET" and self._began_ms:
                self._on_state(words[2], words[3])
        elif key == self._entries:
            self._on_definition(name, words)
        elif key == self._ledger:
            if words[10] == b"history lost" and words[12] != b"0":
                self._on_lost(words)
        elif key.startswith(self._fired):
            self._on_fired(key[len(self._fired) :], words[2])

    def _extended(self, token: bytes) -> None:
        """By the clock of a process that began with the world, at its rate."""
        world = self._sim.world
        self._token = token
        self._extended_us[token.decode()] = world.now_us - world.start_us

    def _on_lease(self, name: bytes, words: Words) -> None:
        caller = self._sim.network.caller
        if name == b"DEL" and caller is not None and caller.nonce != self._holder:
            self.wrong(f"RELEASE: {caller.nonce} deleted the lease of {self._holder}")
        if name == b"SET":
            self._extended(words[2])
            self._holder = words[2].decode().partition(":")[2]
            # Who led in between knew less: what it did hides the loss from the one that knew more.
            left = self._lost.items()
            self._lost = {slot: who for slot, who in left if who == self._holder}
            unheard = self._unheard.items()
            self._unheard = {slot: who for slot, who in unheard if who[0] == self._holder}

    def _on_fired(self, firing: bytes, value: bytes) -> None:
        token, _, how = value.partition(b"|")
        if how != self._claiming:
            return
        nonce, entry = token.decode().partition(":")[2], firing.rpartition(b":")[0]
        again = self._lost.get(firing) == nonce and not self._sim.network.late
        if again and b"#" not in firing and not self._ahead_now(firing):
            self.wrong(f"FORGOT: {firing.decode()} was fired before by {nonce}, which knows it")
        self._claims[firing] = (nonce, self._sim.world.now_us)
        self._offsets_us[firing] = self._offset_us()
        if b"#" in firing:
            return
        if self._sim.server.call("HEXISTS", self._sim.keys.paused, entry):
            self.wrong(f"PAUSED: {firing.decode()} fires, and its entry is paused")

    def answered(self) -> None:
        """A script has run, and its answer may reach who called it."""
        self._answered_ms = max(self._answered_ms, self._sim.server.now_us() // 1_000)

    def _on_lost(self, words: Words) -> None:
        """What was due after the last answer was claimed by no living replica, or is ambiguous."""
        late_ms = int(words[14]) - self._answered_until_ms
        if late_ms > 0:
            what = f"{words[4].decode()}@{words[14].decode()}"
            self.wrong(f"LOST: {what} is called lost, {late_ms} ms after the last answer")

    def _offset_us(self) -> int:
        return self._sim.server.now_us() - self._sim.world.now_us

    def _ahead_now(self, firing: bytes) -> bool:
        """Whether a slot lies behind the declared loss, for the clock was set back since."""
        lost_ms = int(self._sim.server.call("HGET", self._sim.keys.meta, "history_lost") or 0)
        set_back = self._offset_us() < self._offsets_us[firing]
        return set_back and int(firing.rpartition(b":")[2]) > lost_ms

    def made_from(self, entry: str, identity: str, rev: int) -> None:
        """A message is being claimed that was made from this revision of its entry."""
        raw = self._sim.server.call("HGET", self._sim.keys.entries, entry)
        if "#" not in identity and raw is not None and b'"rev": %d,' % rev not in raw:
            self.wrong(f"STALE: {entry}@{identity} is of revision {rev}, stored is {raw!r}")

    def _on_intent(self, name: bytes, words: Words) -> None:
        if name == b"HDEL":
            self._intents.pop(words[2], None)
            return
        parts = words[3].split(b"\n", 2)
        before = self._intents.get(words[2])
        if before is None and parts[1] == b"0":  # a claim: what is taken over may be older
            entry, identity, _, rev = words[3].rpartition(b"\n")[2].decode().split(" ")
            self.made_from(entry, identity, int(rev))
        if before is not None and before[0] != parts[0] and before[1] != parts[1]:
            self.wrong(f"RESTAMP: taking over {words[2].decode()} changed its attempts")
        self._intents[words[2]] = parts

    def _planned_before(self) -> bool:
        """Whether the writer is a client whose edit began before the loss."""
        writer = self._sim.network.caller
        someone = writer is not None and writer.nonce not in self._sim.nonces
        return someone and writer.began_us < self._lost_us

    def _on_definition(self, name: bytes, words: Words) -> None:
        if name == b"HDEL":
            self._revs.pop(words[2], None)
            return
        found = _REV.search(words[3])
        if found is None:  # garbled by hand, and mended by hand
            self._revs.pop(words[2], None)
            return
        rev, before = int(found[1]), self._revs.get(words[2], 0)
        same = self._texts.get(words[2]) == words[3]  # written again, with its position
        if before and rev <= before and not same:
            self.wrong(f"OVERWRITE: {words[2].decode()} at revision {before} became {words[3]!r}")
        self._revs[words[2]], self._texts[words[2]] = rev, words[3]

    def _on_state(self, entry: bytes, state: bytes) -> None:
        if entry not in self._begun:
            self._begun.add(entry)
            # Its cursor may be from before: a client was adding it meanwhile. Not what fires,
            # unless that was planned before the loss as well, and written behind it.
            cursor, following = state.split(b"|")[:2]
            if int(following or cursor) < self._began_ms and not self._planned_before():
                self.wrong(f"RESEED: {entry.decode()} begins at {state!r}, before the loss")

    # -- calls ------------------------------------------------------------------------------

    def ran(self, host: Host, name: str, reply: Any, seen: Any) -> None:
        """A script has run; `seen` is the holder before it."""
        word = reply[0] if isinstance(reply, list) and reply else b""
        now_us = self._sim.world.now_us
        if name in BEATS and word == b"ok":
            self._beat_us[host.nonce] = now_us
            if name in TELLING and not self._sim.network.late:
                self._called_us[host.nonce] = now_us
        elif name in ("steal", "acquire") and word in (b"won", b"mine"):
            if name == "steal":
                self._stolen(host, seen)
            self._beat_us[host.nonce] = now_us
            self._check_knowledge(host, reply)

    def knows(self, host: Host, ran_us: int) -> None:
        """The reply to its claim or tick, which ran then, has reached a replica."""
        nonce = host.nonce
        self._heard_us[nonce] = max(self._heard_us.get(nonce, 0), ran_us)
        if self._unheard:
            for firing, (claimant, at_us) in list(self._unheard.items()):
                if claimant == nonce and at_us <= ran_us:
                    del self._unheard[firing]
                    self._lost[firing] = nonce

    def unanswered(self, host: Host) -> None:
        """It has raised the heartbeat without knowing, so it may overlook a loss of that size."""
        for firing in [firing for firing, who in self._lost.items() if who == host.nonce]:
            del self._lost[firing]
        for firing in [firing for firing, who in self._unheard.items() if who[0] == host.nonce]:
            del self._unheard[firing]

    def unheard(self, host: Host, ran_us: int) -> None:
        """No answer to its claim or tick, which ran then, will reach it any more.

        Its connection may be closed just before the data is lost; the loss must not take the answer
        for one that is still on its way.
        """
        if self._called_us.get(host.nonce) == ran_us:
            self.gives_up(host)
        else:
            self.unanswered(host)

    def gives_up(self, host: Host) -> None:
        """The answer to its last claim is thrown away, for what came behind it has failed."""
        nonce = host.nonce
        self.unanswered(host)
        before_us = self._called_us.get(nonce, 0) - 1
        self._called_us[nonce] = before_us
        self._heard_us[nonce] = min(before_us, self._heard_us.get(nonce, 0))

    def uncopied(self, host: Host, name: str) -> None:
        """The WAIT behind this call has failed, so that the answer to the call is not used."""
        if name == "claim":
            self.gives_up(host)
        else:
            self.unanswered(host)

    def trusts(self, host: Host) -> None:
        """A call is about to be sent: its sender must really hold what it trusts in."""
        parts = self._sim.parts.get(host.name)
        trust = parts.election.trust if parts is not None else None
        if trust is None:
            return
        known = self._extended_us.get(str(trust.token))
        anchored_us = trust.attempt_ms * 1_000 - host.boot_us
        if known is not None and anchored_us > known + self._COARSE_US:
            by_us = anchored_us - known
            self.wrong(f"TRUST: {trust.token} is trusted {by_us} us longer than its lease lasts")

    def _check_knowledge(self, host: Host, reply: Any) -> None:
        """A leader has seen nothing that is gone now, unless Redis remembers a loss of data."""
        sim = self._sim
        parts = sim.parts.get(host.name)
        if parts is None:
            return
        known, cluster = parts.election.known, reply[3].decode()
        epoch = int(reply[1].split(b":")[0])
        if reply[0] == b"won" and epoch <= known.epoch and not sim.network.late:
            self.wrong(f"EPOCH: {host.nonce} leads as {reply[1].decode()} and knew {known.epoch}")
        if known.cluster == cluster:
            lost = known.heartbeat > int(reply[4]) - 1 or known.epoch > epoch
        else:
            lost = bool(known.cluster) and cluster.endswith(f" {host.nonce}")
        if lost and int(reply[7]) < sim.server.now_us() // 1_000:
            self.wrong(f"FORGOT: {host.nonce} leads, knew {known}, Redis has {reply!r}")

    def claimed(self) -> dict[bytes, tuple[str, int]]:
        """The claims that no loss has taken away: entry:identity to nonce and time."""
        return dict(self._claims)

    def check_copied(self, claimed: dict[bytes, tuple[str, int]]) -> None:
        """A failover lost data: no message may have left whose claim went with it.

        A message of an earlier holder, whose claim an earlier loss took, is not of this claim.
        """
        call, keys = self._sim.server.call, self._sim.keys
        arrivals = (event for event in self._sim.recorder.events if type(event) is Arrival)
        for entry, identity in dict.fromkeys(
            (event.entry, event.identity)
            for event in arrivals
            if _sent_under(claimed.get(f"{event.entry}:{event.identity}".encode()), event)
        ):
            state = call("HGET", keys.state, entry)
            if "#" in identity or state is None or int(state.split(b"|")[0]) >= int(identity):
                continue
            if not call("HEXISTS", keys.inflight, f"{entry}@{identity}"):
                self.wrong(f"COPIED: {entry}@{identity} was sent before its claim was copied")

    def _stolen(self, host: Host, victim: str) -> None:
        sim = self._sim
        cause = sim.server.call("HGET", sim.keys.meta, "leader_cause")
        still_us = sim.world.now_us - self._beat_us.get(victim, 0)
        since_loss_us = sim.world.now_us - self._loss_us
        # It counts as stuck after 1.5 TTL of looks; where data is lost in between, the heart
        # can beat up to where it stood at the first of them.
        looked_ms = SECOND_LOOK_MS if cause == b"crash" else sim.plan.ttl_ms * 3 // 2
        if still_us < SECOND_LOOK_MS * 1_000 and since_loss_us >= looked_ms * 1_000:
            self.wrong(f"STEAL: {victim} was heard of {still_us} us ago, {cause.decode()}")
        listening = sim.server.subscribers.get(sim.keys.alive(victim).encode())
        if cause == b"crash" and listening:
            self.wrong(f"STEAL: {victim} is listening, and its lease was taken as a dead one's")

    @property
    def holder(self) -> str:
        return self._holder

    # -- losses -----------------------------------------------------------------------------

    def loss(self, survives_us: int, under_way: bool) -> None:
        """Data was lost; what was claimed since then is forgotten by Redis, not by all."""
        until_ms = self._answered_ms + (NOTICED_MS if under_way else 0)
        self._answered_until_ms = max(self._answered_until_ms, until_ms)
        self._beat_us.clear()  # Redis does not remember the beats any more either
        self._loss_us = self._sim.world.now_us
        for firing, (nonce, at_us) in list(self._claims.items()):
            if at_us <= survives_us:
                continue
            del self._claims[firing]  # so the next loss does not count it again
            if self._heard_us.get(nonce, 0) >= at_us:
                self._lost[firing] = nonce
            elif self._called_us.get(nonce, 0) >= at_us:
                self._unheard[firing] = nonce, at_us
        self._revs.clear()
        self._texts.clear()
        flat = self._sim.server.call("HGETALL", self._sim.keys.inflight)
        pairs = zip(flat[::2], flat[1::2], strict=True)
        self._intents = {field: raw.split(b"\n", 2) for field, raw in pairs}
        lease = self._sim.server.call("GET", self._sim.keys.lease)
        self._holder = lease.decode().partition(":")[2] if lease else ""
        self._token = lease or b""
        if not survives_us:
            self._began_ms = self._sim.server.now_us() // 1_000
            self._lost_us = self._sim.world.now_us
            self._begun.clear()
        else:
            self._began_ms = 0


def _sent_under(claim: tuple[str, int] | None, message: Arrival) -> bool:
    """Whether the message left under this claim: by its holder, or as a resend of its intent."""
    if claim is None or message.at_us < claim[1]:
        return False
    return message.sender == claim[0] or message.attempt > 1
