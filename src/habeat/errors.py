"""Every error that habeat raises on purpose: a sentence for a person, and data for a program.

All of them are `HabeatError`. The sentence is complete by itself: it names the entry and the
field, what was given, and what was expected. The attributes carry the same facts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from habeat.printable import ERROR_MAX_CHARS, Kind, kind_of, plural, printable, repr_of

#: Fields whose values may be secret: an error names the place, never the value.
_PRIVATE = ("args", "kwargs", "headers", "options.headers")

__all__ = [
    "BeatRuns",
    "BeatsAlive",
    "BulkError",
    "BulkInterrupted",
    "CallTimeout",
    "DeadNotFound",
    "DeadUnreadable",
    "DefinitionError",
    "EntryExists",
    "EntryMoving",
    "EntryNotFound",
    "ForeignState",
    "HabeatError",
    "MissingPackage",
    "NotAllowed",
    "NotHandedOver",
    "OwnedByConfig",
    "RedisUnavailable",
    "RevisionConflict",
    "SchedulePaused",
    "ScheduleTooExpensive",
    "SettingsError",
    "ValidationError",
]


class HabeatError(Exception):
    """The base of all habeat errors; its text is one printable line of bounded length."""

    #: The text is cut after this many characters.
    max_chars = ERROR_MAX_CHARS

    def __str__(self) -> str:
        return printable(super().__str__(), self.max_chars)


class SettingsError(HabeatError):
    """A setting is invalid; beat does not start.

    `setting` is the name of the Celery setting, e.g. ``habeat_lease_ttl``.
    """

    max_chars = 4_000  # the text may list all settings

    def __init__(self, setting: str, sentence: str) -> None:
        super().__init__(sentence)
        self.setting = setting


class ValidationError(HabeatError, ValueError):
    """A field of an entry or of a schedule is invalid.

    `allowed` says what was expected. `entry` is empty when a schedule is checked on its own.
    `problem` replaces the start of the sentence where "invalid <field> <value>" would mislead, for
    example when the field is missing.
    """

    def __init__(
        self, field: str, given: object, allowed: str, *, entry: str = "", problem: str = ""
    ) -> None:
        self.field = field
        self.given = kind_of(given) if _is_private(field) else given
        self.allowed = allowed
        self.entry = entry
        self._problem = problem
        super().__init__(self._sentence())

    def _sentence(self) -> str:
        of = f"entry {repr_of(self.entry)}: " if self.entry else ""
        if self._problem:
            return f"{of}{self._problem}: expected {self.allowed}"
        if isinstance(self.given, Kind):
            return f"{of}invalid {self.field}: expected {self.allowed}, got {self.given}"
        return f"{of}invalid {self.field} {repr_of(self.given)}: expected {self.allowed}"

    def of_entry(self, entry: str) -> ValidationError:
        """The same error, with the entry's name in it."""
        return type(self)(self.field, self.given, self.allowed, entry=entry, problem=self._problem)


def _is_private(field: str) -> bool:
    return field.split("[")[0] in _PRIVATE


class ScheduleTooExpensive(ValidationError):
    """The next slot of a schedule takes too long to find.

    The search counts its steps instead of the time, so every replica gives up at the same point.
    """


class BulkError(HabeatError, ValueError):
    """Some entries of a bulk call are invalid, so none was written; `errors` has each reason.

    Its keys are the entries' names, or their positions (``entries[3]``) where they have none.
    """

    SHOWN = 5
    max_chars = 4_000

    def __init__(self, errors: Mapping[str, HabeatError], total: int) -> None:
        self.errors = dict(errors)
        self.total = total
        shown = [_of(name, error) for name, error in list(self.errors.items())[: self.SHOWN]]
        more = len(self.errors) - len(shown)
        rest = f"; and {more} more" if more else ""
        super().__init__(
            f"{len(self.errors)} of {plural(total, 'entry was', 'entries were')} refused, so none "
            "was written: " + "; ".join(shown) + rest
        )


def _of(name: str, error: HabeatError) -> str:
    """The error, and which entry it is about, unless its text says so."""
    text = str(error)
    return text if repr_of(name) in text else f"{name}: {text}"


class BulkInterrupted(HabeatError):
    """A bulk call wrote some entries, then Redis did not answer or the time ran out.

    `added`, `changed` and `removed` have the names of the entries that were written, `unknown` of
    those whose write was not answered; the others were not written. `why` is the error that ended
    the call. A `repeatable` call can be made again as it is: what was written is unchanged then.

    `total` is None for a prefix, tags or all entries. For `trigger_many`, `changed` has the names
    of those that fire, and `request_id` the id to call again with, so that none fires twice.
    """

    def __init__(
        self,
        added: Sequence[str],
        unknown: Sequence[str],
        total: int | None,
        why: HabeatError,
        *,
        changed: Sequence[str] = (),
        removed: Sequence[str] = (),
        repeatable: bool = False,
        request_id: str | None = None,
    ) -> None:
        self.added = tuple(added)
        self.changed = tuple(changed)
        self.removed = tuple(removed)
        self.unknown = tuple(unknown)
        self.total = total
        self.why = why
        self.repeatable = repeatable
        self.request_id = request_id
        only_removed = bool(removed) and not (added or changed)
        verb = "removed" if only_removed else "written" if repeatable else "added"
        if request_id is not None:
            verb = "triggered"
        count = len(self.added) + len(self.changed) + len(self.removed)
        doubt = f" and {len(self.unknown)} may have been" if self.unknown else ""
        advice = "add the missing ones, or call with replace=True"
        if repeatable:
            advice = "call again"
            if request_id is not None:
                advice = f"call again with the request id {request_id}"
        elif only_removed:
            advice = "remove those that are left"
        of = "" if total is None else f"{count} of "
        were = plural(count if total is None else total, "entry was", "entries were")
        super().__init__(f"{of}{were} {verb}{doubt}: {why}; then {advice}")


class DefinitionError(HabeatError):
    """This version cannot read a stored definition; the entry is quarantined."""

    def __init__(self, entry: str, why: str) -> None:
        super().__init__(f"entry {repr_of(entry)}: cannot read the stored definition: {why}")
        self.entry = entry
        self.why = why


class EntryNotFound(HabeatError, LookupError):
    """There is no entry with this name."""

    def __init__(self, entry: str) -> None:
        super().__init__(f"there is no entry named {repr_of(entry)}")
        self.entry = entry


class EntryExists(HabeatError):
    """There is already an entry with this name, and the call may not replace it.

    `owner` is the owner of that entry, "config" or "api".
    """

    def __init__(self, entry: str, owner: str, how: str = "use replace=True or update()") -> None:
        if owner == "config":
            how = "it is declared in beat_schedule, so change it there or choose another name"
        super().__init__(f"an entry named {repr_of(entry)} already exists: {how}")
        self.entry = entry
        self.owner = owner


class EntryMoving(HabeatError):
    """`adopt` has begun to move this entry to another prefix, so nothing was written.

    `prefix` is where it goes. If it could be resumed or fired here, both prefixes might fire it.
    """

    def __init__(self, entry: str, prefix: str) -> None:
        super().__init__(
            f"entry {repr_of(entry)} is being moved to the prefix {repr_of(prefix)}: call adopt "
            "there again, which finishes the move, or remove the entry here"
        )
        self.entry = entry
        self.prefix = prefix


class NotAllowed(HabeatError):
    """The client's guard does not allow this; nothing was written.

    `field` is what the guard objects to, `allowed` what it expects instead.
    """

    def __init__(self, entry: str, field: str, allowed: str) -> None:
        of = f"entry {repr_of(entry)}: " if entry else ""
        super().__init__(f"{of}the client's guard does not allow this {field}: expected {allowed}")
        self.entry = entry
        self.field = field
        self.allowed = allowed


class NotHandedOver(HabeatError):
    """`step_down` was called, and no other replica leads; the text says why and what to do."""


class SchedulePaused(HabeatError):
    """The whole schedule is paused, so nothing can be fired by hand."""

    def __init__(self) -> None:
        super().__init__(
            "the whole schedule is paused, so nothing is fired by hand: see `celery -A proj habeat "
            "status`, and resume it first with `celery -A proj habeat resume --all`"
        )


class OwnedByConfig(HabeatError):
    """The entry is declared in beat_schedule, which the API does not change.

    `act` is the requested operation: update or remove.
    """

    def __init__(self, entry: str, act: str) -> None:
        super().__init__(
            f"entry {repr_of(entry)} is declared in beat_schedule, so {act} it there: "
            "the API may only pause and resume it"
        )
        self.entry = entry
        self.act = act


class RevisionConflict(HabeatError):
    """The entry has changed since it was read, so nothing was written.

    `expected_rev` is None if the call did not name a revision: then other callers kept changing the
    entry.
    """

    def __init__(self, entry: str, expected_rev: int | None, found_rev: int | None) -> None:
        if expected_rev is None:
            sentence = "was changed by other callers at every attempt: call again"
        elif found_rev is None:
            sentence = "was removed since it was read: add it again if it is still wanted"
        else:
            sentence = (
                f"has changed since it was read: it is at revision {found_rev}, not "
                f"{expected_rev}; read it again"
            )
        super().__init__(f"entry {repr_of(entry)} {sentence}")
        self.entry = entry
        self.expected_rev = expected_rev
        self.found_rev = found_rev


class RedisUnavailable(HabeatError):
    """Redis did not answer in time; the call may or may not have taken effect."""


class CallTimeout(HabeatError):
    """A call of the Client did not finish in time, although Redis answered.

    `seconds` is the client's timeout, `done` how far the call got ("" where that is unknown), and
    `argument` is the argument of the Client to raise: "timeout", "long_timeout" or "threads".
    """

    def __init__(self, seconds: float, done: str = "", argument: str = "timeout") -> None:
        so_far = f" ({done})" if done else ""
        more = "more threads" if argument == "threads" else f"a longer {argument}"
        super().__init__(
            f"the call did not finish within {seconds:g} s{so_far}: request less, or give the "
            f"client {more}"
        )
        self.argument = argument
        self.seconds = seconds
        self.done = done


class DeadNotFound(HabeatError, LookupError):
    """No dead letter has this id; it may have been resent, purged or trimmed."""

    def __init__(self, id: str) -> None:
        super().__init__(
            f"no firing or request with the id {id!r} was given up: see "
            "`celery -A proj habeat dead list`"
        )
        self.id = id


class DeadUnreadable(HabeatError):
    """A dead letter cannot be resent: its message is unreadable, or it is already being sent."""

    def __init__(self, id: str, why: str = "its message cannot be read") -> None:
        super().__init__(f"cannot resend {id!r}: {why}")
        self.id = id
        self.why = why


class BeatRuns(HabeatError, RuntimeError):
    """Beat has begun to schedule, so its process can no longer change `scheduler.schedule`."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} has no effect here once beat has begun to schedule, because all replicas "
            "read the entries from Redis: call habeat.Client(app).add, update or remove, or "
            "change scheduler.schedule in a handler of beat_init"
        )


class MissingPackage(HabeatError):
    """A feature needs a package that is not installed; `extra` is habeat's extra that brings it."""

    def __init__(self, package: str, extra: str, feature: str) -> None:
        super().__init__(
            f"{feature} need the package {package}, which is not installed: "
            f"pip install 'habeat[{extra}]'"
        )
        self.package = package
        self.extra = extra


class BeatsAlive(HabeatError):
    """Beats run under a prefix whose keys a call would take away; `replicas` says where they run.

    A beat that was killed counts as alive for up to 15 seconds.
    """

    def __init__(self, prefix: str, replicas: Sequence[str]) -> None:
        super().__init__(
            f"{len(replicas)} {'beat' if len(replicas) == 1 else 'beats'} of prefix {prefix} "
            f"{'runs' if len(replicas) == 1 else 'run'}: {printable(', '.join(replicas))}. Stop "
            "them first; a beat that was killed is listed for up to 15 s"
        )
        self.prefix = prefix
        self.replicas = tuple(replicas)


class ForeignState(HabeatError):
    """The keys under this prefix belong to another app or to another schema version."""


# -- failures of Redis, the broker and Celery: raised behind the ports, handled by the engine --


class StoreUnavailable(HabeatError):
    """Redis did not answer, or refused to write; the call may or may not have taken effect.

    `fault` is one word for the log: unreachable, read_only, out_of_memory, denied, busy, other.
    """

    def __init__(self, fault: str, detail: str) -> None:
        how = "returned an error" if fault == "other" else f"is {fault.replace('_', ' ')}"
        super().__init__(f"Redis {how}: {detail}")
        self.fault = fault


class BrokerUnavailable(HabeatError):
    """The broker did not confirm the message in time; it may or may not have it."""


class PublishRefused(HabeatError):
    """The broker is up but refuses this one message; other messages are not affected."""


class PublishUnknown(PublishRefused):
    """The connection failed while sending this message, but the broker is up and may have it.

    The message stays in flight and is resent over a new connection.
    """


class RenderFailed(HabeatError):
    """Celery could not build this entry's message; the broker is not involved."""


class RenderBypassed(RenderFailed):
    """Celery sent the message itself or lost it: it is unknown whether it was sent."""
