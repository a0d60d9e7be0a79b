"""Another scheduler in sight: a change-over that is not finished, or two beats that both send.

After a change-over that left the entries behind, the schedule is empty, and everything else looks
fine. And while the old beat still runs, each entry that both have is sent twice. Beats look for
either at intervals and register what they see, and health says so.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from habeat.printable import plural, printable

Source = Literal["redbeat", "django", "shelve", "prefix"]
SOURCES: tuple[Source, ...] = get_args(Source)

#: What each is called, as the words of `migrate --from`.
CALLED: Mapping[Source, str] = {
    "redbeat": "RedBeat",
    "django": "django-celery-beat",
    "shelve": "celery's own beat",
    "prefix": "another key prefix of habeat",
}
CHARS_MOST = 200


@dataclass(frozen=True, slots=True)
class OtherScheduler:
    """What was seen of another scheduler.

    `where` says where, for people. `entries` counts those that it would send, None if unknown;
    `shared` those that habeat has under the same name (as far as was compared). `alive` says
    whether its beat runs.
    """

    source: Source
    where: str
    entries: int | None
    shared: int = 0
    alive: bool = False

    @property
    def called(self) -> str:
        return CALLED[self.source]

    def to_json(self) -> dict[str, Any]:
        """As it is registered."""
        return {name: getattr(self, name) for name in self.__slots__}


def from_facts(found: object) -> Iterator[OtherScheduler]:
    """What a replica has registered; what cannot be read is left out, as of another release."""
    for each in found if isinstance(found, list) else ():
        if isinstance(each, dict) and each.get("source") in SOURCES:
            entries, shared = each.get("entries"), each.get("shared")
            yield OtherScheduler(
                each["source"],
                printable(str(each.get("where")), CHARS_MOST),
                entries if isinstance(entries, int) else None,
                shared if isinstance(shared, int) else 0,
                alive=each.get("alive") is True,
            )


def problems(others: Iterable[OtherScheduler], *, is_empty: bool, shadow: bool) -> Iterator[str]:
    """What is wrong, a sentence each, with the command to run next.

    `is_empty`: habeat has no entries but those that Celery adds. Beside a shadow, the other beat
    is meant to send.
    """
    for other in others:
        if is_empty and other.entries != 0:
            yield _left_behind(other)
        elif other.alive and other.shared and not (shadow or is_empty):
            yield _doubled(other)


def _left_behind(other: OtherScheduler) -> str:
    has = "is in use here" if other.entries is None else f"has {other.entries}"
    return (
        f"habeat has no entries, and {other.called} {has} ({other.where}): run "
        f"`celery -A proj habeat {command(other)}`, or add {other.source!r} to "
        "habeat_ignored_schedulers if the schedule is meant to be empty"
    )


def _doubled(other: OtherScheduler) -> str:
    sent = plural(other.shared, "entry is sent by both", "entries are sent by both")
    beat = other.called if other.source == "shelve" else f"the beat of {other.called}"
    return (
        f"{beat} is alive ({other.where}), and {sent}: stop it, "
        "or set habeat_shadow = True to let habeat run beside it without sending"
    )


def command(other: OtherScheduler) -> str:
    """The command that shows what can be carried over."""
    if other.source == "prefix":
        return f"adopt --from {shlex.quote(other.where)} --dry-run"
    return f"migrate --from {other.source}"
