"""Stored values as replies of Redis have them, read defensively: a damaged one raises nothing.

A hash is None if another program has put something else under its key.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from habeat.core.lateness import Lateness
from habeat.core.lease import Token
from habeat.store.calling import text

_WHOLE = re.compile("[0-9]{1,16}", re.ASCII)


def words(raw: Mapping[bytes, bytes] | None) -> dict[str, str]:
    """A hash as text."""
    return {text(key): text(value) for key, value in (raw or {}).items()}


def holder(lease: bytes | None) -> Token | None:
    """The token in the lease; None if it is free, or it is not a token."""
    try:
        return Token.parse(text(lease)) if lease else None
    except ValueError:
        return None


def pairs(flat: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Names and values that a script returned in one list."""
    return zip(flat[::2], flat[1::2], strict=False)


def objects(raw: Mapping[bytes, bytes] | None) -> dict[str, Mapping[str, Any]]:
    """A hash of JSON objects; one that cannot be read is empty."""
    return {name: json_object(stored) for name, stored in words(raw).items()}


def json_object(stored: str | bytes) -> Mapping[str, Any]:
    """A JSON object; empty if it cannot be read, as another program may have written it."""
    try:
        found = json.loads(stored)
    except Exception:
        return {}
    return found if isinstance(found, dict) else {}


def counts(raw: Mapping[bytes, bytes] | None) -> dict[str, int]:
    """A hash of counters; those that are damaged are left out."""
    return {name: int(count) for name, count in words(raw).items() if _is_whole(count)}


def histogram(raw: Mapping[bytes, bytes] | None) -> Lateness:
    """The readable part of a histogram; a bucket that is not a number is left out."""
    found = words(raw)
    largest = whole(found.pop("max", ""))
    counts = {whole(bucket): whole(count) for bucket, count in found.items() if _is_whole(bucket)}
    return Lateness({bucket: count for bucket, count in counts.items() if count}, largest)


def _is_whole(word: str) -> bool:
    return _WHOLE.fullmatch(word) is not None


def whole(word: str) -> int:
    """A count; 0 if the word is not one."""
    return int(word) if _is_whole(word) else 0
