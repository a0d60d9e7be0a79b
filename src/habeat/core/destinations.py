"""The destinations of an entry's messages: queues, exchanges and routing keys.

On Redis, a queue is a key, and so is an exchange's table of bindings. A destination that maps to
one of habeat's own keys would write into the schedule's state. So it is refused when an entry is
added, when its message is built, and in the claim script.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from habeat.core.entry import Entry
from habeat.errors import ValidationError

_NAMES = ("queue", "exchange", "routing_key", "reply_to")
#: Prefixes of kombu's keys on Redis: none for queues, these for the bindings of exchanges.
BINDINGS = ("", "_kombu.binding.", "_kombu.binding_permanent.")


def key_base(prefix: str) -> str:
    """The prefix of all habeat keys; its braces keep them in one hash slot of a Cluster."""
    return f"{{{prefix}}}:"


def own_names(base: str, broker_prefix: str) -> tuple[str, ...]:
    """The prefixes of queue and exchange names whose keys begin with `base`.

    `broker_prefix` is kombu's global_keyprefix, which precedes each of its keys.
    """
    prefixes = []
    for binding in BINDINGS:
        before = broker_prefix + binding
        if before.startswith(base):
            prefixes.append("")
        elif base.startswith(before):
            prefixes.append(base[len(before) :])
    return tuple(dict.fromkeys(prefixes))


def check_destinations(entry: Entry, own: tuple[str, ...]) -> None:
    """Raise ValidationError if a queue or exchange of the entry maps to one of habeat's keys."""
    for path, name in destinations(entry):
        if name.startswith(own):
            allowed = "another name, because this one maps to one of habeat's own keys"
            raise ValidationError(path, name, allowed, entry=entry.name)


def destinations(entry: Entry) -> Iterator[tuple[str, str]]:
    """The path and name of each destination, including those of nested signatures."""
    yield from _of_options("options", entry.options)
    if isinstance(entry.task, Mapping):
        yield from _nested("task", entry.task)


def _of_options(path: str, options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for option, value in options.items():
        here = f"{path}.{option}"
        if option in _NAMES:
            yield from ((here, name) for name in _texts(value))
        elif isinstance(value, Mapping | list | tuple):
            yield from _nested(here, value)


def _nested(path: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, each in value.items():
            if key == "options" and isinstance(each, Mapping):
                yield from _of_options(f"{path}.options", each)
            # Arguments are the user's own values, unless a canvas keeps its signatures there.
            elif key not in ("args", "kwargs") or _holds_signatures(each):
                yield from _nested(f"{path}.{key}", each)
    elif isinstance(value, list | tuple):
        for at, each in enumerate(value):
            yield from _nested(f"{path}[{at}]", each)


def _holds_signatures(value: Any) -> bool:
    """Whether kwargs contain signatures, as those of a chain, group or chord do."""
    return isinstance(value, Mapping) and bool({"tasks", "header", "body"} & set(value))


def _texts(value: Any) -> Iterable[str]:
    """The names in an option: a string, or a queue or exchange described by a mapping."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
