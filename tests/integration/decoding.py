"""Which definitions a call decodes: a filter that decodes them all is slow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from habeat.core.entry import Entry
from habeat.store import entries


def names_decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A list that gets the name of each entry whose definition is decoded from now on."""
    decoded: list[str] = []
    real = entries._stored

    def stored(name: str, parts: Sequence[bytes], decode: entries.Decode) -> entries.Stored:
        def recorded(*given: Any) -> Entry:
            decoded.append(name)
            return decode(*given)

        return real(name, parts, recorded)

    monkeypatch.setattr(entries, "_stored", stored)
    return decoded
