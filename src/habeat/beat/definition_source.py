"""Where the planner gets entries from: the stored text, completed from this deploy's code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from habeat.beat.declared.beat_schedule import BeatSchedule
from habeat.core.entry import Entry
from habeat.core.limits import DEFAULT_LIMITS, Limits, too_large
from habeat.core.request import Request
from habeat.entries import codec


class BeatDefinitionSource:
    """`planning.DefinitionSource`, from the codec and this process's beat_schedule."""

    def __init__(
        self,
        beat_schedule: BeatSchedule,
        decode: Callable[[str, bytes], Entry] = codec.decode,
        limits: Limits = DEFAULT_LIMITS,
        *,
        expires_of: Callable[[str | Mapping[str, Any]], Any] = lambda task: None,
        look: Callable[[Entry], None] = lambda entry: None,
    ) -> None:
        """`expires_of` returns the `expires` of a task's class, or None.

        `look` is called with each entry that was decoded.
        """
        self._expires_of = expires_of
        self._beat_schedule = beat_schedule
        self._decode = decode
        self._look = look
        self._most_bytes = limits.stored_bytes

    def decode(self, name: str, stored: bytes) -> Entry:
        self._check_size(name, stored)
        entry = self._decode(name, stored)
        self._look(entry)
        if "expires" in entry.options:
            return entry
        # The planner skips what has expired, so it has to know what Celery takes from the task.
        expires = self._expires_of(entry.task)
        if expires is None:
            return entry
        if isinstance(expires, timedelta):
            expires = expires.total_seconds()
        return replace(entry, options={**entry.options, "expires": expires})

    def _check_size(self, name: str, stored: bytes) -> None:
        if len(stored) > self._most_bytes:
            raise too_large(name, len(stored))

    def resolve(self, entry: Entry) -> Entry | None:
        if not entry.from_code:
            return entry
        own = self._beat_schedule.entries.get(entry.name)
        if own is None or own.fingerprint != entry.fingerprint:
            return None
        if "schedule" not in entry.from_code:
            return entry
        return replace(entry, schedule=own.schedule)

    def decode_request(self, stored: bytes) -> Request:
        self._check_size("?", stored)
        return codec.decode_request(stored)

    def encode_request(self, request: Request) -> bytes:
        return codec.encode_request(request)

    def code_parts(self, entry: Entry) -> dict[str, Any]:
        """The arguments and options that exist only in code, lazy ones not yet called.

        Empty for other entries.
        """
        raw = self._beat_schedule.raw.get(entry.name, {}) if entry.from_code else {}
        parts: dict[str, Any] = {}
        if "args" in entry.from_code:
            parts["args"] = raw.get("args") or ()
            parts["kwargs"] = raw.get("kwargs") or {}
        if "options" in entry.from_code:
            parts["options"] = raw.get("options") or {}
        return parts
