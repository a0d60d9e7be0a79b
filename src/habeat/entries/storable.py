"""Which arguments can be stored: they have to come back as they were given.

Arguments are stored as kombu's JSON, and whoever reads a definition or a request runs kombu's
decoder over it. That decoder takes every object with the keys ``__type__`` and ``__value__`` for
one of its own, and Python refuses to read numbers of thousands of digits; so some values can be
written and never be read again. They are refused at the call, by the path to them and without
the value: arguments are nobody's to print.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from kombu.utils import json

#: Deeper than this nobody nests by intent, and some decoder on the way gives up.
MAX_DEPTH = 100
#: About 600 decimal digits; Python can be set to read no more than 640.
MAX_BITS = 2_000
_SMALL = 2**63

Path = tuple[str | int, ...]

_TYPED = {"__type__", "__value__"}
_ENCODER = json.JSONEncoder(allow_nan=False)


def is_plain(value: Any, depth: int = 0) -> bool:
    """Whether `value` is of JSON's own types and surely storable: nearly all are, and this is fast.

    False means that `faults` has to look.
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
    """The places in `value` that cannot be stored, each with the reason."""
    if len(path) > MAX_DEPTH:
        yield path[:3], f"nested at most {MAX_DEPTH} levels deep"
    elif isinstance(value, Mapping):
        yield from _faults_of_mapping(value, path)
    elif isinstance(value, list | tuple):
        for place, each in enumerate(value):
            yield from faults(each, (*path, place))
    elif why := _fault(value):
        yield path, why


def _faults_of_mapping(value: Mapping[Any, Any], path: Path) -> Iterator[tuple[Path, str]]:
    if len({isinstance(key, str) for key in value}) > 1:
        yield path, "an object whose keys are all texts"  # they are sorted
    for key, each in value.items():
        if not isinstance(key, str | int | float | None):
            yield path, "an object whose keys are texts"
        step = key if isinstance(key, str | int) else type(key).__name__
        if isinstance(key, str) and has_surrogates(key):
            yield (*path, key), "a key without lone surrogates"
        yield from faults(each, (*path, step))
    if value.keys() == _TYPED and not _is_revived(value):
        yield (
            path,
            "an object that kombu's JSON can read back (it has the keys __type__, __value__)",
        )


def _fault(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return ""
    if isinstance(value, str):
        return "a text without lone surrogates" if has_surrogates(value) else ""
    if isinstance(value, int):
        return "a whole number of at most 600 digits" if value.bit_length() > MAX_BITS else ""
    try:
        _ENCODER.encode(value)
    except Exception as error:  # the class, and its __json__, are the user's
        known = "a finite number" if isinstance(value, float) else "what JSON can carry"
        also = ", datetime, UUID and Decimal"
        return f"{known}{'' if isinstance(value, float) else also} ({type(error).__name__})"
    return ""


def has_surrogates(text: str) -> bool:
    """Whether `text` has halves of surrogate pairs, which no encoding can carry."""
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
    except Exception:  # whatever a decoder that was registered may raise
        return False
    return True
