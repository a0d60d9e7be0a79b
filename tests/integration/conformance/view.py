"""The state as the drawing of commands sees it: it reads as habeat's own code would."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

from tests.integration.conformance.comparison import words_of
from tests.integration.conformance.sides import State
from tests.integration.conformance.steps import KEYS


class Standing(NamedTuple):
    """The position of an entry, from which its next firing is planned."""

    name: bytes
    digest: str
    due: bytes
    cursor: bytes
    slot: bytes


class View:
    """A state, by the names of our keys; what has a foreign type there reads as empty."""

    def __init__(self, state: State, digest: Callable[[bytes], str]) -> None:
        self._state = state
        self.digest = digest

    def _words(self, key: str, kind: bytes, db: int = 0) -> list[bytes]:
        held = self._state.get(f"{db} {key}".encode())
        return list(words_of(held[1])) if held and held[0] == kind else []

    def hash(self, key: str) -> dict[bytes, bytes]:
        words = self._words(key, b"hash")
        return dict(zip(words[::2], words[1::2], strict=True))

    def members(self, key: str) -> list[bytes]:
        return self._words(key, b"set")

    @cached_property
    def due(self) -> dict[bytes, bytes]:
        words = self._words(KEYS.due, b"zset")
        return dict(zip(words[::2], words[1::2], strict=True))

    @cached_property
    def meta(self) -> dict[bytes, bytes]:
        return self.hash(KEYS.meta)

    @cached_property
    def entries(self) -> dict[bytes, bytes]:
        return self.hash(KEYS.entries)

    @cached_property
    def states(self) -> dict[bytes, bytes]:
        return self.hash(KEYS.state)

    @cached_property
    def inflight(self) -> dict[bytes, bytes]:
        return self.hash(KEYS.inflight)

    @cached_property
    def requests(self) -> dict[bytes, bytes]:
        return self.hash(KEYS.requests)

    @property
    def token(self) -> bytes:
        """The holder of the lease; b"" if there is none."""
        return next(iter(self._words(KEYS.lease, b"string")), b"")

    @property
    def nonce(self) -> bytes:
        return self.token.partition(b":")[2]

    @property
    def heartbeat(self) -> int:
        raw = self.meta.get(b"heartbeat", b"0")
        return int(raw) if raw.isdigit() else 0

    @property
    def epoch(self) -> int:
        raw = self.meta.get(b"epoch", b"0")
        return int(raw) if raw.isdigit() else 0

    def digest_of(self, name: bytes) -> str:
        """Of the stored definition; "" where there is none."""
        raw = self.entries.get(name)
        return "" if raw is None else self.digest(raw)

    def cursor_of(self, name: bytes) -> bytes:
        return self.states.get(name, b"").partition(b"|")[0]

    def asked_for(self, name: bytes) -> list[bytes]:
        """The ids of the requests for this entry."""
        return [
            identity
            for identity in self.requests
            if next(iter(self._words(KEYS.request(identity.decode()), b"string")), b"").split(
                b"\n"
            )[0]
            == name
        ]

    def standing(self, name: bytes) -> Standing:
        parts = [*self.states.get(name, b"").split(b"|"), b"", b""]
        cursor, slot = (part if part.lstrip(b"-").isdigit() else b"" for part in parts[:2])
        due = self.due.get(name, slot)
        return Standing(name, self.digest_of(name), due, cursor or b"0", slot)
