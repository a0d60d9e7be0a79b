"""How a replica conducts itself, whatever comes of it: judged by its own calls and their answers.

The scripts refuse what a replica must not do, so a replica that does not keep its own rules seldom
harms the history: a second device catches what the first lets through. Here each rule is held to
by itself, from nothing but what the replica has sent and heard, over its own monotonic clock.

LINE      it stood for election before it had tried to open its line, on which others hear it
LOOKS     it called a leader crashed without having seen what pitfall A19 asks for: a listener of
          that leader, over the connection by which it looks now, and then two looks at least 50 ms
          apart without one, with the same heartbeat and nothing else between
TOKEN     it went on with a lease that it had given back, or that it knew to be another's
WINDOW    it went on with a lease after its window was over: TTL less margin from the moment before
          the request that last extended it
SEND      it began a message whose deadline lies outside its window, or that it hardly gave time
STOP      it began to send after it had been stopped: but for what may go only once and is claimed,
          and one message that is sent again, whose attempt is counted
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.verification.simulation.memory import Memory
from tests.verification.simulation.world import Host

if TYPE_CHECKING:
    from habeat.ports import Parcel
    from tests.verification.simulation.run import Simulation

CONTENDING = {"acquire", "steal"}
#: Scripts whose answers are used only if Redis replicas have what they wrote, where that is waited
#: for; else the store drops the answer.
COPIED = {"claim", "recover", "mark"}
#: Scripts that prove the lease: their first word is the token, or "" where a person calls. Not
#: `mend`: it is called when a tick has failed, whatever is left of the lease.
FENCED = {
    *("tick", "claim", "skip", "mark", "recover", "defer", "drop", "quarantine", "prune"),
    *("write", "remove", "asked", "put_off", "circuits", "sweep", "postpone"),
}
BETWEEN_LOOKS_MS = 50
LEAST_FOR_A_MESSAGE_MS = 50


@dataclass(frozen=True, slots=True)
class Look:
    """One answered look at the lease."""

    at_ms: int
    holder: bytes
    heartbeat: int
    listeners: int
    connection: int

    def like(self, other: Look) -> bool:
        """Whether both are of one holder, over one connection."""
        return (self.holder, self.connection) == (other.holder, other.connection)


class Conduct:
    """Watches what each replica sends and receives."""

    def __init__(self, sim: Simulation) -> None:
        self._sim = sim
        #: By process: whether it has tried to open its line; its connection; its looks.
        self._lined: set[str] = set()
        self._connections: dict[str, int] = {}
        self._looks: dict[str, list[Look]] = {}
        #: (process, token) -> when the request that last extended it was sent, by its clock.
        self._extended_ms: dict[tuple[str, str], int] = {}
        self._over: set[tuple[str, str]] = set()
        self._stopped: dict[str, int] = {}
        self._memories: defaultdict[str, Memory] = defaultdict(Memory)
        #: By process: an answer that is used only once Redis replicas have what it tells of.
        self._unread: dict[str, tuple[str, Sequence[Any], Any]] = {}
        #: Processes whose present call was judged before.
        self._judged: set[str] = set()

    def opens(self, host: Host) -> None:
        """It subscribes to its channel, or tries to."""
        self._lined.add(host.name)

    def reconnects(self, host: Host) -> None:
        """Its connection for commands is dropped; the next call uses a new one."""
        self._connections[host.name] = self._connections.get(host.name, 0) + 1

    @contextmanager
    def same_call(self, host: Host) -> Iterator[None]:
        """The server had forgotten the script: the call, judged when it was sent, is sent whole.

        Its sender may have been frozen meanwhile. The script compares the token by itself.
        """
        self._judged.add(host.name)
        try:
            yield
        finally:
            self._judged.discard(host.name)

    # -- calls ------------------------------------------------------------------------------

    def sends(self, host: Host, name: str, args: Sequence[Any]) -> int:
        """It is about to send this call; returns the time by its clock."""
        now_ms = host.monotonic_us() // 1_000
        if name in CONTENDING and host.name not in self._lined:
            self._wrong(host, "LINE", f"{name} before its line was opened")
        if name == "steal" and "crash" in map(_text, args):
            self._judge_looks(host)
        if name == "release" and args[0]:
            self._over.add((host.name, _text(args[0])))
        if name in FENCED and args[0] and host.name not in self._judged:
            self._judge_token(host, name, _text(args[0]), now_ms)
            if why := self._memories[host.name].omits(name, args):
                self._wrong(host, "DECLARE", f"{why}, and it goes on as before")
        return now_ms

    def hears(self, host: Host, name: str, args: Sequence[Any], reply: Any, sent_ms: int) -> None:
        """It has read the answer."""
        if name == "observe" and self._leads(host):
            return  # it wants to know the time, and uses nothing else
        if name == "observe":
            now_ms = host.monotonic_us() // 1_000
            connection = self._connections.get(host.name, 0)
            look = Look(now_ms, reply[0], int(reply[2]), int(reply[3]), connection)
            self._looks.setdefault(host.name, []).append(look)
            self._memories[host.name].looked(reply)
            for who, token in self._extended_ms:
                if who == host.name and token.encode() != look.holder:
                    self._over.add((who, token))
        elif name in CONTENDING and reply[0] in (b"won", b"mine"):
            token = host.name, _text(reply[1])
            self._memories[host.name].led(reply, token in self._over)
            self._over.discard(token)
            self._extended_ms[token] = sent_ms
        elif name in FENCED and args[0]:
            token = host.name, _text(args[0])
            if name in COPIED and self._sim.plan.waits:
                self._unread[host.name] = name, args, reply
            else:
                self._memories[host.name].answered(name, args, reply)
            # A claim that is waited for is answered here and read by the engine later.
            if reply[0] == b"lost" and not (name == "claim" and self._sim.plan.waits):
                self._over.add(token)
            elif reply[0] == b"ok":
                self._extended_ms[token] = max(sent_ms, self._extended_ms.get(token, 0))

    def copied(self, host: Host) -> None:
        """Redis replicas have what its last call wrote: the answer is used."""
        if unread := self._unread.pop(host.name, None):
            self._memories[host.name].answered(*unread)

    def _window_ms(self, host: Host, token: str) -> int | None:
        """When the window of a token ends, by the clock of its holder."""
        began_ms, ttl_ms = self._extended_ms.get((host.name, token)), self._sim.plan.ttl_ms
        return None if began_ms is None else began_ms + ttl_ms - min(1_000, ttl_ms // 4)

    def _leads(self, host: Host) -> bool:
        parts = self._sim.parts.get(host.name)
        return parts is not None and parts.election.leading

    def _judge_token(self, host: Host, name: str, token: str, now_ms: int) -> None:
        if (host.name, token) in self._over:
            self._wrong(host, "TOKEN", f"{name} by {token}, which it knows to be over")
        ends_ms = self._window_ms(host, token)
        if ends_ms is not None and now_ms >= ends_ms:
            self._wrong(host, "WINDOW", f"{name} by {token}, {now_ms - ends_ms} ms after its end")

    def _judge_looks(self, host: Host) -> None:
        looks = self._looks.get(host.name, [])
        last = looks[-1]
        silent = len(looks)
        while silent and _silent(looks[silent - 1], last):
            silent -= 1
        run = looks[silent:]
        heard = [look for look in looks[:silent] if look.like(last) and look.listeners > 0]
        if not heard:
            self._wrong(host, "LOOKS", f"{last.holder!r} is called crashed, and was never heard")
        if not run or run[-1].at_ms - run[0].at_ms < BETWEEN_LOOKS_MS:
            problem = looks[-3:]
            self._wrong(host, "LOOKS", f"{last.holder!r} is called crashed after {problem}")

    # -- messages ---------------------------------------------------------------------------

    def publishes(self, host: Host, parcels: Sequence[Parcel], timeout_ms: int) -> None:
        """It begins a packet, which is to have left within this time."""
        self._judge_deadline(host, timeout_ms)
        if not host.stopping:
            return
        count = self._stopped[host.name] = self._stopped.get(host.name, 0) + 1
        first = [each for each in parcels if each.attempt == 1 and not self._only_once(each.entry)]
        if count > 1 or first:
            problem = ", ".join(f"{each.entry}@{each.identity}" for each in parcels)
            self._wrong(host, "STOP", f"packet {count} after the stop: {problem}")

    def _judge_deadline(self, host: Host, timeout_ms: int) -> None:
        mine = [token for name, token in self._extended_ms if name == host.name]
        ends_ms = max(self._window_ms(host, token) or 0 for token in mine)
        over_ms = host.monotonic_us() // 1_000 + timeout_ms - ends_ms
        if over_ms > 0:
            self._wrong(host, "SEND", f"a deadline {over_ms} ms behind the end of the window")
        if timeout_ms < LEAST_FOR_A_MESSAGE_MS:
            self._wrong(host, "SEND", f"a message is begun and has {timeout_ms} ms")

    def _only_once(self, entry: str) -> bool:
        plans = {each.name: each for each in self._sim.plan.entries}
        plan = plans.get(entry) or plans.get(entry.removesuffix("x"))  # renamed by a client
        return plan is None or plan.at_most_once or plan.task == "its own way"

    def _wrong(self, host: Host, rule: str, problem: str) -> None:
        self._sim.watching.wrong(f"{rule}: {host.name}: {problem}")


def _silent(look: Look, last: Look) -> bool:
    return look.like(last) and look.listeners == 0 and look.heartbeat == last.heartbeat


def _text(word: Any) -> str:
    return word.decode() if isinstance(word, bytes) else str(word)
