"""An update that has to be planned again because another caller wrote meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from habeat import Client
from habeat.store.entries import EntryStore
from tests.support.servers.redis_server import Server

PREFIX = "habeat:races"


def test_an_iterator_is_read_once_however_often_the_update_is_planned(
    valkey: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        Client(valkey.url(), prefix=PREFIX) as client,
        Client(valkey.url(), prefix=PREFIX) as other,
    ):
        client.add("a", "t", 60, tags=["old"])
        real, calls = EntryStore.write, [0]

        def write(store: EntryStore, *given: Any) -> Any:
            calls[0] += 1
            if calls[0] == 1:
                other.update("a", description="meanwhile")
            return real(store, *given)

        monkeypatch.setattr(EntryStore, "write", write)
        updated = client.update("a", tags=(tag for tag in ("x", "y")))
        assert calls[0] > 2, "the first write came too late"
        assert (updated.tags, updated.description) == (("x", "y"), "meanwhile")
