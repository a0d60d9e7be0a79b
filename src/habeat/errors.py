"""Every error that habeat raises on purpose: a sentence for a person, and data for a program.

All of them are `HabeatError`. The sentence is complete by itself (it names the entry, the
field, what was given and what is allowed); the attributes carry the same facts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from habeat.printable import ERROR_MAX_CHARS, Kind, kind_of, printable, repr_of

#: What a task or a message carries: an error names the place, never the value.
_PRIVATE = ("args", "kwargs", "headers", "options.headers")


class HabeatError(Exception):
    """The root of all errors raised by habeat; its text is one printable line of bounded length."""

    #: How long the text may be; the rest is cut.
    max_chars = ERROR_MAX_CHARS

    def __str__(self) -> str:
        return printable(super().__str__(), self.max_chars)


class SettingsError(HabeatError):
    """A setting that cannot work; beat refuses to start with it.

    `setting` is the name of the Celery setting, e.g. ``habeat_lease_ttl``.
    """

    max_chars = 4_000  # it may list all settings

    def __init__(self, setting: str, sentence: str) -> None:
        super().__init__(sentence)
        self.setting = setting


class ValidationError(HabeatError, ValueError):
    """A field of an entry or of a schedule that is not allowed.

    `entry` may be empty when a schedule is checked by itself.
    """

    def __init__(self, field: str, given: object, allowed: str, *, entry: str = "") -> None:
        self.field = field
        self.given = kind_of(given) if _is_private(field) else given
        self.allowed = allowed
        self.entry = entry
        super().__init__(self._sentence())

    def _sentence(self) -> str:
        of = f"entry {repr_of(self.entry)}: " if self.entry else ""
        given = str(self.given) if isinstance(self.given, Kind) else repr_of(self.given)
        return f"{of}{self.field} is {given}, allowed: {self.allowed}"

    def of_entry(self, entry: str) -> ValidationError:
        """The same error, told of a named entry."""
        return type(self)(self.field, self.given, self.allowed, entry=entry)


def _is_private(field: str) -> bool:
    return field.split("[")[0] in _PRIVATE


class ScheduleTooExpensive(ValidationError):
    """A schedule whose next slot takes too long to find.

    How much is examined is counted, so that every replica gives up at the same point.
    """


class BulkError(HabeatError, ValueError):
    """Some of many entries cannot be added, so none was; `errors` has the reason for each.

    It is keyed by the entry's name, by its place (``entries[3]``) where it has none.
    """

    SHOWN = 5
    max_chars = 4_000

    def __init__(self, errors: Mapping[str, HabeatError], total: int) -> None:
        self.errors = dict(errors)
        self.total = total
        shown = [f"{name}: {error}" for name, error in list(self.errors.items())[: self.SHOWN]]
        more = len(self.errors) - len(shown)
        rest = f"; and {more} more" if more else ""
        super().__init__(
            f"{len(self.errors)} of {total} entries are refused, none was added: "
            + "; ".join(shown)
            + rest
        )


class BulkInterrupted(HabeatError):
    """Some of many entries were added, then Redis did not answer or the time was up.

    `added` are the names of those that were, `unknown` of those whose write was not answered; the
    others were not added. `why` is the error that ended the call.
    """

    def __init__(
        self, added: Sequence[str], unknown: Sequence[str], total: int, why: HabeatError
    ) -> None:
        self.added = tuple(added)
        self.unknown = tuple(unknown)
        self.total = total
        self.why = why
        doubt = f", of {len(self.unknown)} it is not known" if self.unknown else ""
        super().__init__(f"{len(self.added)} of {total} entries were added{doubt}: {why}")


class DefinitionError(HabeatError):
    """A stored definition that this version cannot read; its entry is quarantined."""

    def __init__(self, entry: str, why: str) -> None:
        super().__init__(f"entry {entry!r}: the stored definition cannot be read: {why}")
        self.entry = entry
        self.why = why


class EntryNotFound(HabeatError, LookupError):
    """No entry has this name."""

    def __init__(self, entry: str) -> None:
        super().__init__(f"there is no entry named {entry!r}")
        self.entry = entry


class EntryExists(HabeatError):
    """An entry has this name already, and `replace` was not asked for."""

    def __init__(self, entry: str, owner: str) -> None:
        how = (
            "it is declared in beat_schedule, change it there"
            if owner == "config"
            else "use replace=True or update()"
        )
        super().__init__(f"an entry named {entry!r} exists already: {how}")
        self.entry = entry
        self.owner = owner


class NotAllowed(HabeatError):
    """The client's guard does not allow this; nothing was written.

    `field` is what it is about, `allowed` what would be.
    """

    def __init__(self, entry: str, field: str, allowed: str) -> None:
        super().__init__(f"entry {entry!r}: {field} is not allowed here, allowed: {allowed}")
        self.entry = entry
        self.field = field
        self.allowed = allowed


class OwnedByConfig(HabeatError):
    """The entry is declared in beat_schedule, which the API does not change.

    `act` is what was asked for: update or remove.
    """

    def __init__(self, entry: str, act: str) -> None:
        super().__init__(
            f"entry {entry!r} is declared in beat_schedule: {act} it there "
            "(the API may only pause and resume it)"
        )
        self.entry = entry
        self.act = act


class RevisionConflict(HabeatError):
    """The entry was changed by somebody else since it was read."""

    def __init__(self, entry: str, expected_rev: int | None, found_rev: int | None) -> None:
        found = "it is gone" if found_rev is None else f"it is at revision {found_rev}"
        wanted = "" if expected_rev is None else f", not at {expected_rev}"
        super().__init__(f"entry {entry!r} has changed: {found}{wanted}; read it again")
        self.entry = entry
        self.expected_rev = expected_rev
        self.found_rev = found_rev


class RedisUnavailable(HabeatError):
    """Redis did not answer within the time allowed; nothing is known of the call's effect."""


class CallTimeout(HabeatError):
    """A call of the Client was not finished in its time, though Redis answered.

    `seconds` is the client's timeout, `done` how far the call came ("" where that is unknown).
    """

    def __init__(self, seconds: float, done: str = "") -> None:
        so_far = f" ({done})" if done else ""
        super().__init__(
            f"the call was not finished within {seconds:g} s{so_far}: ask for less, or give the "
            "client a longer timeout"
        )
        self.seconds = seconds
        self.done = done


class DeadNotFound(HabeatError, LookupError):
    """Nothing that was given up has this id; it may have been resent, purged or trimmed."""

    def __init__(self, id: str) -> None:
        super().__init__(f"nothing that was given up has the id {id!r}: see `habeat dead list`")
        self.id = id


class DeadUnreadable(HabeatError):
    """What was given up cannot be sent again: its message cannot be read, or it is under way."""

    def __init__(self, id: str, why: str = "its message cannot be read") -> None:
        super().__init__(f"{id!r} cannot be sent again: {why}")
        self.id = id
        self.why = why


class ForeignState(HabeatError):
    """The keys under this prefix belong to another app or to another schema version."""


# -- what the world did: raised behind the ports, and handled by the engine ----------------


class StoreUnavailable(HabeatError):
    """Redis did not answer, or refused to write; nothing is known of the call's effect.

    `fault` is one word for the log: unreachable, read_only, out_of_memory, denied, busy, other.
    """

    def __init__(self, fault: str, detail: str) -> None:
        how = "answers with an error" if fault == "other" else f"is {fault.replace('_', ' ')}"
        super().__init__(f"Redis {how}: {detail}")
        self.fault = fault


class BrokerUnavailable(HabeatError):
    """The broker did not take the message in time; it may or may not have it."""


class PublishRefused(HabeatError):
    """The broker is there and refuses this one message; others are not concerned."""


class PublishUnknown(PublishRefused):
    """The connection failed under this message, and the broker is well: it may have the message.

    It stays in flight and is sent again, by a new connection.
    """


class RenderFailed(HabeatError):
    """Celery could not build this entry's message; the broker has no part in it."""


class RenderBypassed(RenderFailed):
    """Celery sent the message itself, or lost it: its fate is unknown."""
