"""Which serializers a message can use here, and whether they get the arguments that were given.

habeat stores arguments as kombu's JSON. If the message is JSON, it is the one that Celery would
build from the original values. Other serializers keep more types, such as tuples and keys that are
numbers, which stored JSON changes. An entry of beat_schedule then takes its arguments from code at
each firing. An entry of the API is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from kombu import compression, serialization
from kombu.exceptions import SerializerNotInstalled
from kombu.utils import json

from habeat.core.entry import Entry
from habeat.errors import ValidationError
from habeat.printable import kind_of, place

JSON = "json"
#: Kombu's own serializers that need a package.
_PACKAGES = {"yaml": "PyYAML", "msgpack": "msgpack"}
#: Kombu's own serializers other than JSON: trying one runs no code of a user's serializer.
_TRIED = (*_PACKAGES, "pickle")
_NOTHING: tuple[Any, ...] = ((), {}, {})


def check_serializer(name: str) -> None:
    """ValidationError if this process cannot serialize with it."""
    if _is_installed(name):
        return
    known = ", ".join(each for each in sorted(_registered()) if _is_installed(each))
    cure = f"install {_PACKAGES[name]}" if name in _PACKAGES else "register it with kombu"
    raise ValidationError(
        "options.serializer",
        name,
        f"one of {known} ({cure} in every process that adds or sends it)",
        problem=f"the serializer {name!r} is not installed",
    )


def _registered() -> Mapping[str, str]:
    return cast(Mapping[str, str], serialization.registry.name_to_type)


def _is_installed(name: str) -> bool:
    """Whether kombu has it; a serializer of the user's is not run, because it may be slow."""
    if name not in _PACKAGES:
        return name in _registered()
    try:
        serialization.dumps(_NOTHING, serializer=name)
    except SerializerNotInstalled:  # kombu registers a substitute that raises it
        return False
    return True


def check_compression(name: Any) -> None:
    """ValidationError if kombu does not know this compression here."""
    try:
        compression.get_encoder(name)
    except (KeyError, TypeError):
        known = ", ".join(sorted(compression._aliases))
        raise ValidationError("options.compression", name, f"one of {known}") from None


def check_arguments(entry: Entry, default: str = JSON) -> None:
    """ValidationError if its serializer is not installed, or would not get the given arguments.

    `default` is the app's `task_serializer`.
    """
    name = entry.options.get("serializer") or default
    check_serializer(name)
    if entry.options.get("compression"):
        check_compression(entry.options["compression"])
    if name == JSON:
        return
    for field, value in (("args", list(entry.args)), ("kwargs", dict(entry.kwargs))):
        for path, found in changed_by_json(value):
            raise ValidationError(
                place(field, path),
                kind_of(found),
                f"a value that JSON keeps as it is, because entries of the API are stored as JSON "
                f"and {name!r} would not get this one (an entry of beat_schedule can have it)",
                entry=entry.name,
            )
    check_carried(entry.args, entry.kwargs, name)


def check_carried(args: Any, kwargs: Any, serializer: str) -> None:
    """ValidationError if the serializer, one of kombu's own, refuses these arguments."""
    if serializer not in _TRIED:
        return
    for field, value in (("args", list(args)), ("kwargs", dict(kwargs))):
        try:
            serialization.dumps(value, serializer=serializer)
        except Exception as error:  # the serializer and the values are the user's
            why = type(error.__cause__ or error).__name__
            allowed = f"what the serializer {serializer!r} can carry ({why})"
            raise ValidationError(field, kind_of(value), allowed) from None


Path = tuple[str | int, ...]


def changed_by_json(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """The values inside that are not the same after they were stored, with their paths."""
    kind = type(value)
    if kind is dict:
        for key, each in value.items():
            if type(key) is str:
                yield from changed_by_json(each, (*path, key))
            else:
                yield (*path, str(key)), key
    elif kind is list:
        for at, each in enumerate(value):
            yield from changed_by_json(each, (*path, at))
    elif not (value is None or kind in (str, int, float, bool)) and not _is_kept(value):
        yield path, value


def _is_kept(value: Any) -> bool:
    """Whether a value such as a datetime is the same after kombu's JSON."""
    if isinstance(value, Mapping | list | tuple):
        return False
    try:
        read = json.loads(json.dumps(value))
        return type(read) is type(value) and bool(read == value)
    except Exception:  # it cannot be stored at all, which `codec` reports
        return False
