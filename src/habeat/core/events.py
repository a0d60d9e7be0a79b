"""Event codes: one stable word for each thing that happens to the schedule or to one entry.

The same word is the `event` of a log line, the name of a signal where there is one, the `code` of a
finding of `health`, and the `code` of a stored event. A code never changes its meaning: tools and
alerts depend on it. Celery's own events (task-sent) are something else.

A condition has a start and an end. Either another code ends it (`ended_by`), or the same code is
logged once more, with `ended` set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final


class EventCode(StrEnum):
    """The codes, by subject; `EVENTS` has what each one means."""

    # who leads
    LEADER_ACQUIRED = "leader_acquired"
    LEADER_LOST = "leader_lost"
    LEADER_WEDGED = "leader_wedged"
    NO_LEADER = "no_leader"
    HANDING_OVER = "handing_over"
    NO_STANDBY = "no_standby"
    REPLICA_QUIET = "replica_quiet"
    CLOCK_OFF = "clock_off"
    TZDATA_DIFFERS = "tzdata_differs"
    STANDING_BY = "standing_by"
    REPLICA_INERT = "replica_inert"
    START_REFUSED = "start_refused"
    WORKER_GONE = "worker_gone"
    # Redis
    REDIS_UNAVAILABLE = "redis_unavailable"
    REDIS_AVAILABLE = "redis_available"
    DATA_LOST = "data_lost"
    KEYS_REPAIRED = "keys_repaired"
    MEMORY_POLICY = "memory_policy"
    PUBSUB_UNAVAILABLE = "pubsub_unavailable"
    PUBSUB_AVAILABLE = "pubsub_available"
    CREDENTIALS_REFUSED = "credentials_refused"
    CREDENTIALS_RENEWED = "credentials_renewed"
    # the broker and the way there
    BROKER_UNAVAILABLE = "broker_unavailable"
    BROKER_AVAILABLE = "broker_available"
    DISPATCH_CHOSEN = "dispatch_chosen"
    QUEUE_REFUSED = "queue_refused"
    # the loop
    TICK_FAILED = "tick_failed"
    TICK_HANGS = "tick_hangs"
    DISPATCH_STALLED = "dispatch_stalled"
    STATE_LOGGED = "state_logged"
    DISPATCH_LATE = "dispatch_late"
    PART_FAILED = "part_failed"
    MESSAGES_SLOW = "messages_slow"
    HEARTBEAT_FILE_FAILED = "heartbeat_file_failed"
    ENDPOINT_FAILED = "endpoint_failed"
    ACCOUNTING_OFF = "accounting_off"
    DEAD_LETTERS = "dead_letters"
    # slots
    SLOT_DISPATCHED = "slot_dispatched"
    SLOT_SKIPPED = "slot_skipped"
    SLOT_MISSED = "slot_missed"
    SLOT_FAILED = "slot_failed"
    SLOT_LATE = "slot_late"
    SLOT_AMBIGUOUS = "slot_ambiguous"
    SLOT_DECLINED = "slot_declined"
    PUBLISH_UNKNOWN = "publish_unknown"
    FIRING_GIVEN_UP = "firing_given_up"
    REQUEST_FAILED = "request_failed"
    # one entry
    ENTRY_WAITS = "entry_waits"
    ENTRY_QUARANTINED = "entry_quarantined"
    ENTRY_STARVED = "entry_starved"
    ENTRY_UNSENDABLE = "entry_unsendable"
    CIRCUIT_OPENED = "circuit_opened"
    CIRCUIT_CLOSED = "circuit_closed"
    TASK_UNREGISTERED = "task_unregistered"
    # what people do to the schedule
    SCHEDULE_PAUSED = "schedule_paused"
    SCHEDULE_RESUMED = "schedule_resumed"
    CONTROLS_DAMAGED = "controls_damaged"
    CALENDAR_MISSING = "calendar_missing"
    CALENDAR_ENDED = "calendar_ended"
    ENTRY_RESUMED = "entry_resumed"
    RESUME_FAILED = "resume_failed"
    # beat_schedule
    ENTRY_REFUSED = "entry_refused"
    ENTRY_NOT_STORED = "entry_not_stored"
    NAME_CLASH = "name_clash"
    ENTRIES_GONE = "entries_gone"
    ENTRIES_PRUNED = "entries_pruned"
    DECLARATIONS_DIFFER = "declarations_differ"
    METHOD_IGNORED = "method_ignored"
    # other beats
    OTHER_PREFIX = "other_prefix"
    OTHER_SCHEDULER = "other_scheduler"
    SHADOW_SENDS_NOTHING = "shadow_sends_nothing"
    SHADOW_BLIND = "shadow_blind"
    # receivers of events
    RECEIVER_FAILED = "receiver_failed"
    EVENTS_DROPPED = "events_dropped"
    WEBHOOK_FAILED = "webhook_failed"
    PING_FAILED = "ping_failed"


class Level(IntEnum):
    """The level of an event's log line; the numbers are the logging module's."""

    INFO = 20
    WARNING = 30
    ERROR = 40
    CRITICAL = 50


@dataclass(frozen=True, slots=True)
class EventKind:
    """What a code means, and what to do about it.

    `level` is the level of its log line: None if the event is not logged. The line that ends a
    condition is a WARNING.
    """

    level: Level | None
    meaning: str
    next_step: str = ""
    ended_by: EventCode | None = None


_E = EventCode
_INFO, _WARNING, _ERROR = Level.INFO, Level.WARNING, Level.ERROR

EVENTS: Final[Mapping[EventCode, EventKind]] = {
    _E.LEADER_ACQUIRED: EventKind(_WARNING, "This replica leads from now on."),
    _E.LEADER_LOST: EventKind(
        _WARNING,
        "This replica no longer leads.",
        "None if another replica leads. If it repeats, the process is starved or the network "
        "stalls: raise `habeat_lease_ttl`, look at the CPU limits.",
    ),
    _E.LEADER_WEDGED: EventKind(
        _ERROR,
        "The leader extends its lease, but sends nothing.",
        "A standby takes over. Look at the leader's stacks: a signal handler, a schedule class or "
        "a connection hangs.",
    ),
    _E.NO_LEADER: EventKind(
        _ERROR,
        "No replica leads.",
        "Start a beat, or see in `status` why those that run are inert.",
        _E.LEADER_ACQUIRED,
    ),
    _E.HANDING_OVER: EventKind(
        _WARNING,
        "This replica releases the lease, so that another one can lead.",
        "See the cause in the line. None after `step-down` or a stop.",
    ),
    _E.NO_STANDBY: EventKind(
        None, "One beat leads, and no other one runs.", "Start a second beat on another host."
    ),
    _E.REPLICA_QUIET: EventKind(
        None,
        "A replica has not registered for longer than a live one would.",
        "Look at that host: the process is frozen, starved, or gone.",
    ),
    _E.CLOCK_OFF: EventKind(
        None, "The clock of a replica's host differs from Redis' clock.", "Synchronize the clocks."
    ),
    _E.TZDATA_DIFFERS: EventKind(
        None,
        "The replicas have different releases of the time zone data.",
        "Install the same release of `tzdata` everywhere.",
    ),
    _E.STANDING_BY: EventKind(_WARNING, "This replica waits; the line says who leads."),
    _E.REPLICA_INERT: EventKind(
        _ERROR,
        "This replica can never lead.",
        "Correct what the line says: the key prefix, the version, or the setting.",
    ),
    _E.START_REFUSED: EventKind(
        Level.CRITICAL,
        "Beat does not start, because this Redis may delete entries.",
        "Set `maxmemory-policy` to `noeviction`, or use a separate Redis for the schedule.",
    ),
    _E.WORKER_GONE: EventKind(
        _ERROR,
        "The worker of this embedded beat is gone; the beat ends.",
        "Start the worker again.",
    ),
    _E.REDIS_UNAVAILABLE: EventKind(
        _ERROR,
        "Redis does not answer; nothing is sent.",
        "Bring Redis back. Slots stay due.",
        _E.REDIS_AVAILABLE,
    ),
    _E.REDIS_AVAILABLE: EventKind(_WARNING, "Redis answers again."),
    _E.DATA_LOST: EventKind(
        _WARNING,
        "Redis was emptied, or restored to an older state.",
        "Restore your backup if entries of the API are gone. After a restore to an older state, "
        "`history --outcome missed` shows which slots were lost; `backfill` those that matter.",
    ),
    _E.KEYS_REPAIRED: EventKind(
        _ERROR,
        "A key of the schedule had the wrong type or was damaged, and was repaired.",
        "Find out what else writes under this prefix.",
    ),
    _E.MEMORY_POLICY: EventKind(
        _WARNING,
        "Redis may evict keys of the schedule when its memory is full. An error if these can be "
        "entries.",
        "Set `maxmemory-policy` to `noeviction`.",
    ),
    _E.PUBSUB_UNAVAILABLE: EventKind(
        _ERROR,
        "The pub/sub connection cannot be opened: takeover after a crash waits for the lease to "
        "expire. A warning if the Redis user may not SUBSCRIBE.",
        "Check the user's rights and the limit of connections.",
        _E.PUBSUB_AVAILABLE,
    ),
    _E.PUBSUB_AVAILABLE: EventKind(_WARNING, "The pub/sub connection is open again."),
    _E.CREDENTIALS_REFUSED: EventKind(
        _ERROR,
        "The credentials have changed, and Redis refuses the new ones.",
        "Check the credential provider.",
        _E.CREDENTIALS_RENEWED,
    ),
    _E.CREDENTIALS_RENEWED: EventKind(_WARNING, "All connections use the new credentials."),
    _E.BROKER_UNAVAILABLE: EventKind(
        _ERROR,
        "The broker takes no messages.",
        "Bring the broker back. Slots stay due.",
        _E.BROKER_AVAILABLE,
    ),
    _E.BROKER_AVAILABLE: EventKind(_WARNING, "The broker takes messages again."),
    _E.DISPATCH_CHOSEN: EventKind(
        _WARNING, "How messages are sent, atomic or by the outbox, and why."
    ),
    _E.QUEUE_REFUSED: EventKind(
        _WARNING,
        "Redis refuses the push to a queue; the outbox sends the messages for it.",
        "Allow the Redis user to push to that queue.",
    ),
    _E.TICK_FAILED: EventKind(
        _ERROR,
        "A tick of the loop failed; the loop continues.",
        "Please report it, with the traceback.",
    ),
    _E.TICK_HANGS: EventKind(
        _ERROR,
        "The loop of a replica has been stuck for seconds; the line has the place in the code.",
        "Correct the code at that place: a receiver of a signal, a Task subclass, a call without a "
        "timeout. If it does not return, restart that beat.",
    ),
    _E.DISPATCH_STALLED: EventKind(
        _ERROR,
        "Entries are due, and no slot has had an outcome for seconds.",
        "Read the leader's log; it says what it waits for.",
    ),
    _E.STATE_LOGGED: EventKind(
        _WARNING, "A replica got SIGUSR1, and logged its state and its stacks."
    ),
    _E.DISPATCH_LATE: EventKind(
        _ERROR,
        "Entries have been due for longer than the misfire grace.",
        "`history` shows what is sent meanwhile: the leader has a backlog, or just came back.",
    ),
    _E.PART_FAILED: EventKind(
        _ERROR,
        "A part of a tick failed and was left out; dispatch continues.",
        "If it persists, please report it, with the traceback.",
    ),
    _E.MESSAGES_SLOW: EventKind(
        _ERROR,
        "The messages of most entries take too long to build, so all firings are late.",
        "Look at the CPU, and at code that runs for each message: receivers of "
        "`before_task_publish`, serializers.",
    ),
    _E.HEARTBEAT_FILE_FAILED: EventKind(
        _ERROR, "`habeat_heartbeat_file` cannot be touched.", "Check the path and its permissions."
    ),
    _E.ENDPOINT_FAILED: EventKind(
        _ERROR,
        "The endpoint of `habeat_http` cannot listen or answer; beat goes on without it.",
        "If its port is in use, give each beat of a host a port of its own.",
    ),
    _E.ACCOUNTING_OFF: EventKind(
        _ERROR,
        "Claimed firings are neither settled, given up nor in flight.",
        "Please report it, with the output of `status --json`.",
    ),
    _E.DEAD_LETTERS: EventKind(
        _ERROR, "Firings or requests were given up and are kept.", "`dead list`, then `dead resend`"
    ),
    _E.SLOT_DISPATCHED: EventKind(None, "The message of a slot is in the broker."),
    _E.SLOT_SKIPPED: EventKind(None, "A slot was skipped, as its entry's policies say."),
    _E.SLOT_MISSED: EventKind(
        None,
        "A slot was found too late, or lost, and does not fire.",
        "`history NAME --outcome missed` has the reason; `backfill` fires it after all.",
    ),
    _E.SLOT_FAILED: EventKind(
        None,
        "The message of a slot could not be built or was refused, and the slot does not fire.",
        "`show NAME` has the error; `backfill` fires the slot after all.",
    ),
    _E.SLOT_LATE: EventKind(
        _ERROR,
        "A slot was not sent within its entry's `start_by`.",
        "`explain NAME` says what holds it up.",
    ),
    _E.SLOT_AMBIGUOUS: EventKind(
        _ERROR,
        "Code outside of habeat sent a message itself, so it is unknown whether it was sent.",
        "See the error in the line. The entry is not retried for that slot.",
    ),
    _E.SLOT_DECLINED: EventKind(
        _INFO,
        "A task's own `apply_async` declined to send, and the slot is skipped. Once a minute.",
        "None, if it is meant to. `history NAME --outcome skipped` has all of them.",
    ),
    _E.PUBLISH_UNKNOWN: EventKind(
        _ERROR,
        "It is unknown whether the broker took a message.",
        "None: it is sent again with the same task id, or dropped, as `habeat_delivery` says.",
    ),
    _E.FIRING_GIVEN_UP: EventKind(
        _ERROR,
        "A firing or a request was given up and is kept.",
        "`dead list`, then `dead resend` or `dead purge`.",
    ),
    _E.REQUEST_FAILED: EventKind(
        _ERROR, "A trigger or a backfill cannot be sent.", "Correct the entry, and repeat it."
    ),
    _E.ENTRY_WAITS: EventKind(
        _ERROR,
        "An entry cannot be planned now, and is tried again later.",
        "Correct its schedule; the line has the error.",
    ),
    _E.ENTRY_QUARANTINED: EventKind(
        _ERROR,
        "An entry cannot be read or planned, and does not fire.",
        "`show NAME`, then `add NAME … --replace` or `remove NAME`.",
    ),
    _E.ENTRY_STARVED: EventKind(
        _ERROR,
        "A slot of an entry passed and has no outcome.",
        "`show NAME` and the findings of `health` say what holds it up.",
    ),
    _E.ENTRY_UNSENDABLE: EventKind(
        _ERROR,
        "The message of an entry cannot be built or is refused.",
        "Correct the entry; the line has the error.",
    ),
    _E.CIRCUIT_OPENED: EventKind(
        _ERROR,
        "An entry failed repeatedly, or code that builds or sends its message does not return: its "
        "slots end as failed, except for a probe now and then.",
        "Correct the entry; an edit closes the circuit.",
        _E.CIRCUIT_CLOSED,
    ),
    _E.CIRCUIT_CLOSED: EventKind(_WARNING, "An entry whose circuit was open is sent again."),
    _E.TASK_UNREGISTERED: EventKind(
        _WARNING,
        "The task of an entry is not registered in beat's code.",
        "Correct the name, import its module, or list it in `habeat_remote_tasks`.",
    ),
    _E.SCHEDULE_PAUSED: EventKind(
        _WARNING,
        "The whole schedule is paused: due slots are skipped.",
        "`resume --all` when it is time.",
        _E.SCHEDULE_RESUMED,
    ),
    _E.CONTROLS_DAMAGED: EventKind(
        None,
        "A pause of the whole schedule, or a hold, cannot be read and is ignored.",
        "Find out what else writes under this prefix; then set it again, or remove it.",
    ),
    _E.CALENDAR_MISSING: EventKind(
        _ERROR,
        "An entry names a calendar that does not exist, so it fires on all days.",
        "`calendar set` it, or correct the entry.",
    ),
    _E.CALENDAR_ENDED: EventKind(
        _WARNING,
        "An entry names a calendar whose days are all past, so it fires on all days.",
        "`calendar set` it with the days to come, or take it from the entry.",
    ),
    _E.SCHEDULE_RESUMED: EventKind(_WARNING, "Entries that were held are sent again."),
    _E.ENTRY_RESUMED: EventKind(_WARNING, "The pause of an entry is over."),
    _E.RESUME_FAILED: EventKind(
        _ERROR,
        "The pause of an entry is over, but the entry cannot be resumed.",
        "`update`, `add --replace` or `remove` it.",
    ),
    _E.ENTRY_REFUSED: EventKind(
        _ERROR,
        "An entry of `beat_schedule` is invalid and is not scheduled.",
        "Correct it; `check` says the same before a deploy.",
    ),
    _E.ENTRY_NOT_STORED: EventKind(
        _ERROR,
        "An entry of `beat_schedule` could not be stored.",
        "Correct its schedule, or remove the stored definition that cannot be read.",
    ),
    _E.NAME_CLASH: EventKind(
        _ERROR,
        "An entry of `beat_schedule` has the name of an entry of the API, and is not used.",
        "Rename one of them.",
    ),
    _E.ENTRIES_GONE: EventKind(
        _WARNING,
        "Entries of `beat_schedule` are gone from Redis and are stored again.",
        "Find out what deleted them.",
    ),
    _E.ENTRIES_PRUNED: EventKind(
        _WARNING, "Entries that no live replica declares any more were removed."
    ),
    _E.DECLARATIONS_DIFFER: EventKind(
        _WARNING,
        "Live replicas declare different entries.",
        "None during a deploy. Otherwise give all beats the same configuration.",
    ),
    _E.METHOD_IGNORED: EventKind(
        _WARNING,
        "A class derived from the scheduler overrides a method that is not called.",
        "Override `apply_entry` or `apply_async` instead.",
    ),
    _E.OTHER_PREFIX: EventKind(
        _WARNING,
        "The same schedule, or a similar one, is under another prefix on this Redis.",
        "Stop the other beat, or adopt its entries.",
    ),
    _E.OTHER_SCHEDULER: EventKind(
        _WARNING,
        "Another scheduler runs beside habeat, or has entries that habeat lacks.",
        "Stop the other one, or migrate its entries.",
    ),
    _E.SHADOW_SENDS_NOTHING: EventKind(
        _WARNING, "A message was not sent, because this beat is a shadow."
    ),
    _E.SHADOW_BLIND: EventKind(
        _ERROR,
        "The shadow cannot see the messages of the other beat.",
        "Check the broker; until then, `diff` shows slots as unknown.",
    ),
    _E.RECEIVER_FAILED: EventKind(
        _ERROR,
        "A receiver of one of habeat's signals raised or takes too long.",
        "Correct the receiver; it must return at once.",
    ),
    _E.EVENTS_DROPPED: EventKind(
        _ERROR,
        "Signals, webhooks or pings were dropped, because their receivers are too slow.",
        "Make the receivers faster. Nothing was lost in the ledger.",
    ),
    _E.WEBHOOK_FAILED: EventKind(
        _ERROR, "An alarm could not be delivered to `habeat_webhook_url`.", "Check the server."
    ),
    _E.PING_FAILED: EventKind(
        _ERROR, "A ping of `habeat_pings` could not be delivered.", "Check the URL and the server."
    ),
}
