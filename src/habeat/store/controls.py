"""Reads and writes the controls (core/controls.py)."""

from __future__ import annotations

from typing import Any, Literal, cast

from habeat.core.change_record import Author
from habeat.core.controls import CONTROLS_MAX, StoredControls
from habeat.entries.control_changes import ControlChange, control_change
from habeat.entries.digest import digest_of
from habeat.store.calling import Caller, blank, text
from habeat.store.pipelining import wire
from habeat.store.replies import words

Written = Literal["ok", "conflict", "full"]


class ControlStore:
    """The controls of one prefix; every call may raise StoreUnavailable."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        #: Who makes the changes, for the change log.
        self.author = Author()

    def read(self) -> StoredControls:
        """All controls, and their stamp."""
        keys = self._caller.keys

        def act(client: Any) -> tuple[Any, Any]:
            # Read the stamp first: if it is older than the fields, a write is merely repeated.
            return client.hmget(keys.meta, "controls")[0], client.hgetall(keys.controls)

        # The next write renames another program's key.
        stamp, found = self._caller.do_or(act, (b"", {}))
        return StoredControls(text(stamp or b""), words(found))

    def write(
        self,
        stamp: str,
        field: str,
        before: str,
        after: str,
        message: str = "changed",
        most: int = CONTROLS_MAX,
    ) -> Written:
        """Replace the value `before` of a field by `after`; "" means that there is none."""
        arguments = (stamp, field, digest_of(wire(before)) if before else "", after)
        log = self._log_words(control_change(field, before, after))
        reply = self._caller.run("control", *arguments, most, message, *log)
        return cast(Written, text(reply[0]))

    def _log_words(self, change: ControlChange) -> tuple[Any, ...]:
        by, way = self.author.by, str(self.author.way)
        why = f": {change.reason}" if change.reason else ""
        times = (change.since_ms, blank(change.until_ms))
        detail = f"by {by or 'an unknown user'} ({way}){why}"
        return by, way, change.act, change.fields, change.event, *times, detail
