"""Which kinds of schedule there are, so that a stored definition finds its class again.

A kind of your own is a frozen dataclass derived from `Schedule`, registered by the decorator:

    @register
    @dataclass(frozen=True)
    class Tides(Schedule):
        kind: ClassVar[str] = "tides"

It has to be registered in every process that reads the entry: the replicas and the clients.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from habeat.errors import ValidationError
from habeat.schedules.schedule import Schedule

_Kind = TypeVar("_Kind", bound=Schedule)

_kinds: dict[str, type[Schedule]] = {}


def register(cls: type[_Kind]) -> type[_Kind]:
    """Make a kind known under its `kind`; a class decorator.

    Raises ValidationError when another class has the name already.
    """
    kind = getattr(cls, "kind", None)
    if not isinstance(kind, str) or not kind:
        raise ValidationError("kind", kind, f"{cls.__name__} needs a name that is not empty")
    known = _kinds.get(kind)
    # The same class again is a module that was reloaded.
    if known is not None and _path(known) != _path(cls):
        raise ValidationError("kind", kind, f"a name not taken yet ({_path(known)} has it)")
    _kinds[kind] = cls
    return cls


def from_json(data: object) -> Schedule:
    """The schedule of a stored definition, whatever its kind.

    Raises ValidationError for an unknown kind and for all that the kind itself refuses.
    """
    if not isinstance(data, Mapping):
        raise ValidationError("schedule", data, "an object with a kind")
    kind = data.get("kind")
    cls = _kinds.get(kind) if isinstance(kind, str) else None
    if cls is None:
        raise ValidationError("kind", kind, "one of " + ", ".join(sorted(_kinds)))
    return cls.from_json(data)


def is_foreign(cls: type[Schedule]) -> bool:
    """Whether its code is not habeat's own, so that nothing bounds what it does."""
    return not cls.__module__.startswith("habeat.")


def foreign() -> list[str]:
    """The kinds that others have registered."""
    return [kind for kind, cls in _kinds.items() if is_foreign(cls)]


def _path(cls: type[Schedule]) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
