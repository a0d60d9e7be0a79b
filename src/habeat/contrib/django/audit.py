"""Django's log of changes: who changed which entry, and how.

The rows are written before the change and in one transaction: if the database does not take them,
nothing is changed. If the change is refused, the rows are rolled back. If Redis did not answer,
they stay and say that the outcome is unknown. Redis and the database do not commit together, so a
change stays without its row if the process is killed, or the database lost, between the change and
the commit. With `ATOMIC_REQUESTS`, the commit comes at the end of the request.

Rows name fields, schedules and reasons. They never contain arguments, which may be secret.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import router, transaction

from habeat.contrib.django.keys import is_plain
from habeat.contrib.django.models import Entry
from habeat.errors import BulkInterrupted, CallTimeout, HabeatError, RedisUnavailable
from habeat.printable import printable

__all__ = ["ADDITION", "CHANGE", "DELETION", "audited", "changes_of"]

Result = TypeVar("Result")

#: How many rows a page shows.
SHOWN = 20
NAME_CHARS = 200
UNKNOWN = "Redis did not answer, so it is unknown whether this took effect: "


def audited(
    user: Any,
    flag: int,
    messages: Mapping[str, str],
    act: Callable[[], Result],
    *,
    changed_by: Callable[[Result], Collection[str]] | None = None,
) -> Result:
    """What `act` returns; each name in `messages` has a row in the log with its message.

    With `changed_by`, only the names that it finds in the result keep their rows.
    """
    with transaction.atomic(using=_database()):
        rows = [_row(user, flag, name, message) for name, message in messages.items()]
        try:
            result = act()
        except (RedisUnavailable, CallTimeout, BulkInterrupted) as error:
            doubt: HabeatError = error
            _keep_doubtful(rows, error)
        else:
            if changed_by is not None:
                _drop(rows, keep=set(changed_by(result)))
            return result
    raise doubt


def changes_of(name: str) -> list[Any]:
    """The latest rows of this entry, newest first."""
    if not is_plain(name):
        return []
    found = LogEntry.objects.filter(content_type=_content_type(), object_id=name)
    return list(found.select_related("user").order_by("-action_time", "-pk")[:SHOWN])


def _row(user: Any, flag: int, name: str, message: str) -> tuple[str, Any]:
    """A new row, with the name that it is about.

    A name that a link or a database cannot carry is only in the text of its row.
    """
    row = LogEntry.objects.create(
        user_id=user.pk,
        content_type=_content_type(),
        object_id=name if is_plain(name) else None,
        object_repr=printable(name, NAME_CHARS),
        action_flag=flag,
        change_message=printable(message),
    )
    return name, row


def _keep_doubtful(rows: list[tuple[str, Any]], error: HabeatError) -> None:
    """Keep the rows of what was changed, mark those of what may have been, drop the others."""
    certain: set[str] = set()
    unknown = {name for name, _ in rows}
    if isinstance(error, BulkInterrupted):
        certain, unknown = {*error.changed, *error.removed}, set(error.unknown)
    _drop(rows, keep=certain | unknown)
    for name, row in rows:
        if name in unknown:
            row.change_message = UNKNOWN + row.change_message
            row.save(update_fields=["change_message"])


def _drop(rows: list[tuple[str, Any]], *, keep: Collection[str]) -> None:
    gone = [row.pk for name, row in rows if name not in keep]
    if gone:
        LogEntry.objects.filter(pk__in=gone).delete()


def _content_type() -> Any:
    return ContentType.objects.get_for_model(Entry)


def _database() -> str:
    return str(router.db_for_write(LogEntry))
