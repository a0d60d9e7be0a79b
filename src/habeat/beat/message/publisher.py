"""`ports.Publisher` for Celery: choose the dispatch, render messages, send for the outbox.

``habeat_dispatch = "auto"`` is decided by a probe, once broker and Redis answer. Nothing is
dispatched before that, and a probe without an answer is repeated. The decision and its reason are
logged once. If an ACL forbids the claim to push to a queue, the outbox serves that queue; if that
queue is the app's default one, the outbox serves everything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from habeat.beat.broker.blame import Blame, blame, text_of
from habeat.beat.broker.broker import Broker, queue_of
from habeat.beat.broker.envelope import BoundedProducer, Publication, seal
from habeat.beat.message.kombu_redis import (
    CannotRecord,
    CommandRecorder,
    NoQueue,
    RecordingUncertain,
    Words,
)
from habeat.beat.message.outgoing import Outgoing
from habeat.beat.message.own_sending import OwnSending, PublishWatch, task_of, why_unsent
from habeat.beat.message.record import EntryRenderer
from habeat.beat.message.redis_packets import RedisPackets
from habeat.beat.message.send_path import expiry_of, goes_its_own_way
from habeat.beat.message.template_cache import Templates
from habeat.beat.message.template_limits import is_watched
from habeat.core.entry import Entry
from habeat.core.events import EventCode
from habeat.core.firing import Firing
from habeat.engine.rendering import without_arguments
from habeat.engine.report import BeingBuilt
from habeat.log import log_event
from habeat.ports import (
    BrokerUnavailable,
    Handed,
    Parcel,
    RenderBypassed,
    Rendered,
    RenderFailed,
    StoreUnavailable,
)

DENIED_KEPT = 1_000


class CeleryPublisher:
    """Renders through beat's send path, and sends with the claim or through kombu."""

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
        #: Entries found to bypass the recorder.
        self._own_way: set[str] = set()
        #: Tasks whose own code leaves work to threads: none of them ever counts as declined.
        self._in_threads: set[str] = set()
        #: For this tick: why each task bypasses the recorder, "" if it does not.
        self._by_task: dict[str, str] = {}
        #: Queues that the claim may not push to: the outbox sends their messages.
        self._denied: set[str] = set()
        self.templates = (
            Templates(
                broker.app,
                self._rehearse,
                self._rendered,
                lambda: broker.connection.get_transport_cls(),
            )
            if template
            else None
        )
        self._outgoing = Outgoing(broker, now_ms)
        #: The message that a task's own code is sending at the moment; another thread reads it.
        self.own_sending: BeingBuilt | None = None
        self._in_packets = False
        self.atomic = False
        self.decided = False
        self.why = "not decided yet"

    # -- which dispatch ---------------------------------------------------------------------

    def prepare(self, timeout_ms: int) -> None:
        """Choose the dispatch if that is still open; BrokerUnavailable."""
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

    @property
    def dispatch(self) -> str:
        """The dispatch in use: "atomic" or "outbox"; "" until it is decided."""
        return ("atomic" if self.atomic else "outbox") if self.decided else ""

    def _look_at_packets(self) -> None:
        """Forget all templates when packets become available or cease to be.

        A template either includes the packet of a message or does not.
        """
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
                    f"habeat_dispatch is 'atomic', which is not possible here: {reason}"
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
        log_event(
            EventCode.DISPATCH_CHOSEN,
            "habeat: dispatch is %s: %s",
            "atomic" if atomic else "outbox",
            why,
        )

    def refused_push(self, commands: Sequence[Words], why: str) -> bool:
        """Have the outbox serve these queues, to which the claim may not push.

        If they are only the app's default queue, the outbox serves everything from now on. Returns
        False, and changes nothing, if the settings demand atomic dispatch or it is not in use.
        """
        if self._wanted == "atomic" or self._command_recorder is None:
            return False
        queues, default = {str(words[1]) for words in commands}, self._default_queue()
        if queues == {default}:
            self._give_up_atomic(f"Redis does not let the claim push to the default queue ({why})")
            return True
        if len(self._denied) > DENIED_KEPT:
            self._denied.clear()
        # Keep the default queue atomic: only messages that also go elsewhere use the outbox.
        queues.discard(default)
        self._denied |= queues
        log_event(
            EventCode.QUEUE_REFUSED,
            "habeat: Redis does not let the claim push to %s (%s): the outbox sends the messages "
            "for it; all others leave with the claim as before",
            ", ".join(map(repr, sorted(queues))),
            why,
        )
        return True

    def _default_queue(self) -> str:
        try:
            return "" if self._command_recorder is None else self._command_recorder.default_queue()
        except Exception:
            return ""  # unknown for now: then only the refused queues move to the outbox

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
        published = self._record(entry, firing, task_id, epoch)
        expires_ms = expiry_of(self._broker.app, entry, firing, published)
        rendered = self._rendered(published)
        return replace(rendered, code_us=self._renderer.code_us, expires_ms=expires_ms)

    def _goes_its_own_way(self, entry: Entry) -> bool:
        """Whether this entry's task bypasses the recorder; cached per task for one tick.

        Celery takes microseconds to look a setting up.
        """
        if not isinstance(entry.task, str):
            return bool(goes_its_own_way(self._broker.app, entry.task))
        if entry.task not in self._by_task:
            self._by_task[entry.task] = goes_its_own_way(self._broker.app, entry.task)
        return bool(self._by_task[entry.task])

    def foresee(self, entry: Entry, firing: Firing, cluster: str, epoch: int) -> Rendered | None:
        """The message of a firing that is not due yet, from a template; None without one.

        No signal or user code sees a message made from a template, so it may be discarded.
        """
        if self.templates is None or not self.decided or entry.name in self._own_way:
            return None
        task_id = firing.task_id(cluster)
        try:
            filled = self.templates.render(entry, firing, task_id, epoch, at_once=True)
        except Exception:
            return None  # `render` meets the same error when it is due, and reports it
        denied = filled is not None and self._is_denied(filled.commands)
        return None if denied else filled

    def may_foresee(self) -> bool:
        """Whether messages made from templates may still be sent: False once others would look."""
        return not is_watched()

    def _record(self, entry: Entry, firing: Firing, task_id: str, epoch: int) -> list[Publication]:
        """What Celery would publish; RenderFailed, and RenderBypassed if nothing was recorded."""
        try:
            published = self._renderer.record(
                entry, firing, task_id, epoch, self._broker.connection
            )
        except RenderFailed as error:
            self._blame_broker(error)
            raise
        if not published:
            self._own_way.add(entry.name)
            raise RenderBypassed("Celery bypassed the recorder, or sent nothing")
        return published

    def _rehearse(
        self, entry: Entry, firing: Firing, task_id: str, epoch: int
    ) -> list[Publication]:
        """What Celery would publish; nothing is logged. RenderFailed."""
        try:
            return self._renderer.rehearse(entry, firing, task_id, epoch, self._broker.connection)
        except RenderFailed as error:
            self._blame_broker(error)
            raise

    def _blame_broker(self, error: RenderFailed) -> None:
        """BrokerUnavailable if the broker caused the failure: a result backend may have used it."""
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
                return Rendered(commands=commands, queue=queue_of(published))
        try:
            envelope = seal(published)
        except Exception as error:
            raise RenderFailed(text_of(error)) from error
        packets = self._outgoing.packets
        packet = packets.commands(published, 1) if packets is not None else ()
        return Rendered(envelope=envelope, packet=packet, queue=queue_of(published))

    def _commands_of(
        self, recorder: CommandRecorder, published: list[Publication]
    ) -> Sequence[Words]:
        """The commands that enqueue these messages; RenderFailed if one would reach no queue.

        Recording sends nothing. So after a connection error it is repeated once on a new
        connection, before the broker or the entry is blamed.
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
                raise RenderFailed(_queue_error(judged)) from error
        raise AssertionError("not reached")

    def _is_denied(self, commands: Sequence[Words]) -> bool:
        return any(words[1] in self._denied for words in commands)

    def _later(self, entry: Entry, firing: Firing, task_id: str, epoch: int) -> Rendered:
        """For a task that bypasses the recorder: really send it, after the claim."""
        key = f"direct {entry.name}@{firing.identity}".encode()

        def run(producer: BoundedProducer) -> OwnSending:
            returned, failed = None, None
            self.own_sending = BeingBuilt(entry.name, "", self._now_ms() * 1_000)
            with PublishWatch() as watch:
                try:
                    returned = self._renderer.run(entry, firing, task_id, epoch, producer)
                except RenderFailed as error:
                    failed = without_arguments(error, entry)
                    failed.__cause__ = error.__cause__ or error
                finally:
                    self.own_sending = None
            if watch.began_thread:
                self._in_threads.add(entry.task_name)
            unsent = None
            sent = watch.published or producer.used or entry.task_name in self._in_threads
            if not sent:
                task = task_of(self._broker.app, entry.task)
                unsent = why_unsent(task, task_id, returned, failed)
            return OwnSending(self._renderer.code_us, failed, unsent)

        self._outgoing.keep(key, run)
        expires_ms = expiry_of(self._broker.app, entry, firing, ())
        return Rendered(envelope=key, repeatable=False, expires_ms=expires_ms)

    # -- sending ----------------------------------------------------------------------------

    def connect(self, timeout_ms: int) -> None:
        """Connect to the broker within `timeout_ms`; BrokerUnavailable."""
        self._broker.connect(max(timeout_ms, 1) / 1_000)

    @property
    def packets(self) -> int:
        """How many packets may be on their way.

        Two if the broker confirms later: the next is sent while the previous one awaits
        confirmation.
        """
        return 2 if self._broker.confirms_later else 1

    def publish(self, parcels: Sequence[Parcel], timeout_ms: int) -> Handed:
        """Send a packet within `timeout_ms`; failures are in the answers."""
        return self._outgoing.publish(parcels, timeout_ms)

    def discard(self) -> None:
        """Drop the broker's connection."""
        self._broker.discard()


def _queue_error(judged: Exception) -> str:
    text = str(judged)
    return f"its queue or exchange is another kind of key ({text})" if "WRONGTYPE" in text else text
