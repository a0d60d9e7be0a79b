"""Requests that are sent ahead are packed here; redis-py's own packing is the rule."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from redis.connection import Connection

from habeat.store.ahead import packed

WORDS = st.lists(st.one_of(st.binary(), st.text(st.characters(codec="utf-8")), st.integers()))


@given(WORDS)
def test_it_packs_as_redis_py_does(words: list[bytes | str | int]) -> None:
    request = ("EVALSHA", *words)
    assert packed(request) == b"".join(Connection().pack_command(*request))
