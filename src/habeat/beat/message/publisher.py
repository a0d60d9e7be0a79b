"""`ports.Publisher` for Celery: which dispatch is used, rendering, and the outbox's sending.

``habeat_dispatch = "auto"`` is decided by probing, when broker and Redis answer; until then
nothing is dispatched. A probe that could not be made is made again; only an answer settles the
matter. The decision and its reason are logged once. A queue that an ACL forbids to the claim is
served by the outbox; so is everything, if it is the app's default queue.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from habeat.beat.broker.blame import Blame, blame, told
from habeat.beat.broker.broker import Broker
from habeat.beat.broker.envelope import Publication, seal
from habeat.beat.message.kombu_redis import (
    CannotRecord,
    CommandRecorder,
    NoQueue,
    RecordingUncertain,
    Words,
)
from habeat.beat.message.outgoing import Outgoing
from habeat.beat.message.record import EntryRenderer
from habeat.beat.message.redis_packets import RedisPackets
from habeat.beat.message.send_path import goes_its_own_way
from habeat.beat.message.template_cache import Templates
from habeat.core.entry import Entry
from habeat.core.firing import Firing
from habeat.engine.rendering import without_arguments
from habeat.ports import (
    BrokerUnavailable,
    Handed,
    Parcel,
    RenderBypassed,
    Rendered,
    RenderFailed,
    StoreUnavailable,
)

log = logging.getLogger("habeat")

DENIED_KEPT = 1_000


class CeleryPublisher:
    """Renders through beat's send path; sends by the claim itself, or through kombu."""

    def __init__(
        self,
        *,
        renderer: EntryRenderer,
        broker: Broker,
        wanted: str,
        impossible: str,
        same_server: Callable[[int, str], str],
        use_database: Callable[[int], None],
        now_ms: Callable[[], int],
        template: bool = True,
    ) -> None:
        self._renderer = renderer
        self._broker = broker
        self._command_recorder: CommandRecorder | None = None
        self._wanted = wanted
        self._impossible = impossible
        self._same_server = same_server
        self._use_database = use_database
        self._now_ms = now_ms
        #: Entries that were found to go their own way, and what this turn knows of tasks.
        self._own_way: set[str] = set()
        self._by_task: dict[str, str] = {}
        #: Queues that the claim may not push to: their messages leave by the outbox.
        self._denied: set[str] = set()
        self.templates = Templates(broker.app, self._record, self._rendered) if template else None
        self._outgoing = Outgoing(broker, now_ms)
        self._in_packets = False
        self.atomic = False
        self.decided = False
        self.why = "not decided yet"

    # -- which dispatch ---------------------------------------------------------------------

    def prepare(self, timeout_ms: int) -> None:
        """Decide the dispatch if that is still open; BrokerUnavailable."""
        self._by_task.clear()
        self._look_at_packets()
        if self.templates is not None:
            self.templates.look()
        if self.decided:
            return
        if self._wanted == "outbox" or self._impossible:
            self._decide(False, self._impossible or "habeat_dispatch is 'outbox'")
            return
        self._broker.connect(timeout_ms / 1_000)
        self._probe()

    def _look_at_packets(self) -> None:
        """Templates know the packet of a message, or they do not: other ones are learned then."""
        packets = self._outgoing.packets
        in_packets = packets is not None and packets.ready
        if in_packets != self._in_packets and self.templates is not None:
            self.templates.forget()
        self._in_packets = in_packets

    def _probe(self) -> None:
        recorder = CommandRecorder(self._broker)
        try:
            database = recorder.check(self._same_server)
        except CannotRecord as reason:
            if self._wanted == "atomic":
                raise BrokerUnavailable(
                    f"habeat_dispatch is 'atomic', and that cannot be: {reason}"
                ) from reason
            self._decide(False, str(reason))
        except (RecordingUncertain, StoreUnavailable) as error:
            self._broker.discard()
            raise BrokerUnavailable(f"the dispatch cannot be decided yet: {error}") from error
        else:
            self._command_recorder = recorder
            self._use_database(database)
            self._decide(True, f"schedule and broker are one Redis (broker database {database})")

    def _decide(self, atomic: bool, why: str) -> None:
        self.atomic, self.decided, self.why = atomic, True, why
        self._outgoing.packets = None if atomic else RedisPackets(self._broker, self._now_ms)
        log.warning("habeat: dispatch is %s: %s", "atomic" if atomic else "outbox", why)

    def refused_push(self, commands: Sequence[Words], why: str) -> bool:
        """The claim may not push to where these go; False if it has to.

        Their queues are served by the outbox from now on, if the choice was left to us. So is
        everything, if one of them is the app's default queue and no other.
        """
        if self._wanted == "atomic" or self._command_recorder is None:
            return False
        queues, default = {str(words[1]) for words in commands}, self._default_queue()
        if queues == {default}:
            self._give_up_atomic(f"the queue may not be pushed to ({why})")
            return True
        if len(self._denied) > DENIED_KEPT:
            self._denied.clear()
        queues.discard(default)  # others go there: only what goes elsewhere, too, is not captured
        self._denied |= queues
        log.warning(
            "habeat: Redis does not let the claim push to %s (%s): messages for it leave by "
            "the outbox; all others leave with the claim as before",
            ", ".join(map(repr, sorted(queues))),
            why,
        )
        return True

    def _default_queue(self) -> str:
        try:
            return "" if self._command_recorder is None else self._command_recorder.default_queue()
        except Exception:
            return ""  # it cannot be told just now: then only these queues are concerned

    def _give_up_atomic(self, why: str) -> None:
        self._command_recorder = None
        if self.templates is not None:
            self.templates.forget()
        self._decide(False, why)

    # -- rendering --------------------------------------------------------------------------

    def render(self, entry: Entry, firing: Firing, cluster: str, epoch: int) -> Rendered:
        task_id = firing.task_id(cluster)
        if self.templates is not None and entry.name not in self._own_way:
            filled = self.templates.render(entry, firing, task_id, epoch)
            if filled is not None and not self._is_denied(filled.commands):
                return filled
        if entry.name in self._own_way or self._goes_its_own_way(entry):
            return self._later(entry, firing, task_id, epoch)
        rendered = self._rendered(self._record(entry, firing, task_id, epoch))
        return replace(rendered, code_us=self._renderer.code_us)

    def _goes_its_own_way(self, entry: Entry) -> bool:
        """Asked once a turn for each task: to look a setting up takes Celery microseconds."""
        if not isinstance(entry.task, str):
            return bool(goes_its_own_way(self._broker.app, entry.task))
        if entry.task not in self._by_task:
            self._by_task[entry.task] = goes_its_own_way(self._broker.app, entry.task)
        return bool(self._by_task[entry.task])

    def foresee(self, entry: Entry, firing: Firing, cluster: str, epoch: int) -> Rendered | None:
        """Only from a template: of that nobody is told, so it may be made and thrown away."""
        if self.templates is None or not self.decided or entry.name in self._own_way:
            return None
        task_id = firing.task_id(cluster)
        try:
            filled = self.templates.render(entry, firing, task_id, epoch, at_once=True)
        except Exception:
            return None  # when it is due, it is told
        denied = filled is not None and self._is_denied(filled.commands)
        return None if denied else filled

    def _record(self, entry: Entry, firing: Firing, task_id: str, epoch: int) -> list[Publication]:
        """What Celery would publish; RenderFailed, and RenderBypassed if nothing came by."""
        try:
            published = self._renderer.record(
                entry, firing, task_id, epoch, self._broker.connection
            )
        except RenderFailed as error:
            self._blame_broker(error)
            raise
        if not published:
            self._own_way.add(entry.name)
            raise RenderBypassed("Celery sent it past the recorder, or not at all")
        return published

    def _blame_broker(self, error: RenderFailed) -> None:
        """BrokerUnavailable if the broker is why it failed: a result backend may speak to it."""
        cause = error.__cause__
        if cause is not None and blame(cause) is Blame.SUSPECT:
            try:
                self._broker.ask_anew(self._broker.timeout_s)
            except BrokerUnavailable as gone:
                self._broker.discard()
                raise BrokerUnavailable(str(error)) from gone

    def _rendered(self, published: list[Publication]) -> Rendered:
        if self._command_recorder is not None:
            commands = self._commands_of(self._command_recorder, published)
            if not self._is_denied(commands):
                return Rendered(commands=commands)
        try:
            envelope = seal(published)
        except Exception as error:
            raise RenderFailed(told(error)) from error
        packets = self._outgoing.packets
        packet = packets.commands(published, 1) if packets is not None else ()
        return Rendered(envelope=envelope, packet=packet)

    def _commands_of(
        self, recorder: CommandRecorder, published: list[Publication]
    ) -> Sequence[Words]:
        """The commands that enqueue these messages, each of them somewhere.

        Nothing is sent by it. So what a connection fails under is tried once more by a new one,
        before anybody is blamed.
        """
        for last in (False, True):
            try:
                return recorder.commands(published)
            except NoQueue as error:
                raise RenderFailed(str(error)) from error
            except Exception as error:
                if blame(error) is not Blame.ENTRY:
                    self._broker.discard()
                    if not last:
                        continue
                judged = self._broker.judged(error, self._broker.timeout_s)
                if isinstance(judged, BrokerUnavailable):
                    raise judged from error
                raise RenderFailed(_said_of_queue(judged)) from error
        raise AssertionError("not reached")

    def _is_denied(self, commands: Sequence[Words]) -> bool:
        return any(words[1] in self._denied for words in commands)

    def _later(self, entry: Entry, firing: Firing, task_id: str, epoch: int) -> Rendered:
        """A task that goes its own way is sent for real, once it is claimed."""
        key = f"direct {entry.name}@{firing.identity}".encode()

        def run(producer: object) -> int:
            try:
                self._renderer.run(entry, firing, task_id, epoch, producer)
            except RenderFailed as error:
                raise without_arguments(error, entry) from (error.__cause__ or error)
            return self._renderer.code_us

        self._outgoing.keep(key, run)
        return Rendered(envelope=key, repeatable=False)

    # -- sending ----------------------------------------------------------------------------

    def connect(self, timeout_ms: int) -> None:
        """Make sure of the broker within the time; BrokerUnavailable."""
        self._broker.connect(max(timeout_ms, 1) / 1_000)

    @property
    def packets(self) -> int:
        """Two where the broker confirms later: one is written while the other is confirmed."""
        return 2 if self._broker.confirms_later else 1

    def publish(self, parcels: Sequence[Parcel], timeout_ms: int) -> Handed:
        """Send a packet, all within the time; what fails is in the answers."""
        return self._outgoing.publish(parcels, timeout_ms)

    def discard(self) -> None:
        """Throw the broker's connection away."""
        self._broker.discard()


def _said_of_queue(judged: Exception) -> str:
    said = str(judged)
    return f"its queue or exchange is another kind of key ({said})" if "WRONGTYPE" in said else said
