"""Which arguments can be stored: those that can be read back unchanged.

Arguments are stored as kombu's JSON, and every reader of a definition or request runs kombu's
decoder on it. That decoder treats any object with the keys ``__type__`` and ``__value__`` as its
own, and Python refuses to parse numbers with thousands of digits. So some values can be written but
never read again. A call with such a value is refused; the error names the path and not the value,
because arguments are never printed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from kombu.utils import json

#: Deeper nesting is not intentional, and some decoders refuse it.
MAX_DEPTH = 100
#: About 600 decimal digits; Python's own limit can be set as low as 640.
MAX_BITS = 2_000
_SMALL = 2**63

Path = tuple[str | int, ...]

_TYPED = {"__type__", "__value__"}
_ENCODER = json.JSONEncoder(allow_nan=False)


def is_plain(value: Any, depth: int = 0) -> bool:
    """Whether `value` has only JSON's own types and is surely storable: a fast check for most.

    False means that `faults` must be called.
    """
    kind = type(value)
    if kind is str:
        return value.isascii() or not has_surrogates(value)
    if kind is int:
        return bool(-_SMALL < value < _SMALL)
    if kind is dict:
        deeper = depth + 1
        return depth < MAX_DEPTH and all(
            type(key) is str and key.isascii() and key != "__type__" and is_plain(each, deeper)
            for key, each in value.items()
        )
    if kind is list or kind is tuple:
        deeper = depth + 1
        return depth < MAX_DEPTH and all(is_plain(each, deeper) for each in value)
    return value is None or kind is bool or (kind is float and math.isfinite(value))


def faults(value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """The paths in `value` that cannot be stored, each with what was expected there."""
    if len(path) > MAX_DEPTH:
        yield path[:3], f"values nested at most {MAX_DEPTH} levels deep"
    elif isinstance(value, Mapping):
        yield from _faults_of_mapping(value, path)
    elif isinstance(value, list | tuple):
        for place, each in enumerate(value):
            yield from faults(each, (*path, place))
    elif why := _fault(value):
        yield path, why


def _faults_of_mapping(value: Mapping[Any, Any], path: Path) -> Iterator[tuple[Path, str]]:
    for key, each in value.items():
        if not isinstance(key, str | int | float | None):
            yield path, "an object with string keys"
        step = key if isinstance(key, str | int) else type(key).__name__
        if isinstance(key, str) and has_surrogates(key):
            yield (*path, key), "a key without lone surrogates"
        yield from faults(each, (*path, step))
    if value.keys() == _TYPED and not _is_revived(value):
        yield (
            path,
            "an object that kombu's JSON can read back, unlike this one with __type__, __value__",
        )


def _fault(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return ""
    if isinstance(value, str):
        return "a string without lone surrogates" if has_surrogates(value) else ""
    if isinstance(value, int):
        return "a whole number of at most 600 digits" if value.bit_length() > MAX_BITS else ""
    try:
        _ENCODER.encode(value)
    except Exception as error:  # a user's class and its __json__ may raise anything
        if isinstance(value, float):
            return f"a finite number ({type(error).__name__})"
        return f"a JSON value, datetime, UUID or Decimal ({type(error).__name__})"
    return ""


def has_surrogates(text: str) -> bool:
    """Whether `text` has lone surrogates, which no encoding can represent."""
    if text.isascii():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _is_revived(value: Mapping[str, Any]) -> bool:
    try:
        json.object_hook(dict(value))
    except Exception:  # a registered decoder may raise anything
        return False
    return True
