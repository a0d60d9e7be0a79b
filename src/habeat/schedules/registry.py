"""The registry of schedule kinds, by which a stored definition finds its class.

To add a kind, derive a frozen dataclass from `Schedule` and register it with the decorator:

    @register
    @dataclass(frozen=True)
    class Tides(Schedule):
        kind: ClassVar[str] = "tides"

Register it in every process that reads the entry: replicas and clients.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from habeat.errors import ValidationError
from habeat.schedules.schedule import Schedule

_Kind = TypeVar("_Kind", bound=Schedule)

_kinds: dict[str, type[Schedule]] = {}


def register(cls: type[_Kind]) -> type[_Kind]:
    """Register a class under its `kind`; a class decorator.

    Raises ValidationError if another class has the same kind.
    """
    kind = getattr(cls, "kind", None)
    if not isinstance(kind, str) or not kind:
        raise ValidationError("kind", kind, f"a non-empty string as the kind of {cls.__name__}")
    known = _kinds.get(kind)
    # The same path again means that a module was reloaded.
    if known is not None and _path(known) != _path(cls):
        raise ValidationError("kind", kind, f"an unused name; {_path(known)} has this one")
    _kinds[kind] = cls
    return cls


def from_json(data: object) -> Schedule:
    """The schedule of a stored definition, of any kind.

    Raises ValidationError for an unknown kind and for values that the kind refuses.
    """
    if not isinstance(data, Mapping):
        raise ValidationError("schedule", data, "an object with a kind")
    kind = data.get("kind")
    cls = _kinds.get(kind) if isinstance(kind, str) else None
    if cls is None:
        raise ValidationError("kind", kind, "one of " + ", ".join(sorted(_kinds)))
    return cls.from_json(data)


def is_foreign(cls: type[Schedule]) -> bool:
    """Whether the class is not habeat's own, so its run time is not bounded."""
    return not cls.__module__.startswith("habeat.")


def foreign() -> list[str]:
    """The kinds that other packages have registered."""
    return [kind for kind, cls in _kinds.items() if is_foreign(cls)]


def _path(cls: type[Schedule]) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
