"""Reads and writes the controls (core/controls.py)."""

from __future__ import annotations

from typing import Any, Literal, cast

from habeat.core.controls import CONTROLS_MAX, StoredControls
from habeat.entries.digest import digest_of
from habeat.errors import StoreUnavailable
from habeat.store.calling import Caller, text
from habeat.store.pipelining import wire

Written = Literal["ok", "conflict", "full"]


class ControlStore:
    """The controls of one prefix; every call may raise StoreUnavailable."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def read(self) -> StoredControls:
        """All controls, and their stamp."""
        keys = self._caller.keys

        def act(client: Any) -> tuple[Any, Any]:
            # Read the stamp first: if it is older than the fields, a write is merely repeated.
            return client.hmget(keys.meta, "controls")[0], client.hgetall(keys.controls)

        try:
            stamp, found = self._caller.do(act)
        except StoreUnavailable as error:
            if "WRONGTYPE" not in str(error):
                raise
            return StoredControls("", {})  # another program's key; the next write renames it
        fields = {text(field): text(value) for field, value in found.items()}
        return StoredControls(text(stamp or b""), fields)

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
        words = (stamp, field, digest_of(wire(before)) if before else "", after)
        reply = self._caller.run("control", *words, most, message)
        return cast(Written, text(reply[0]))
