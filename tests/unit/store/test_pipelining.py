"""Requests that are sent ahead are packed as redis-py packs them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from redis.connection import Connection

from habeat.store.pipelining import Packed, packed, plain

WORDS = st.lists(st.one_of(st.binary(), st.text(st.characters(codec="utf-8")), st.integers()))


@given(WORDS)
def test_it_packs_as_redis_py_does(words: list[bytes | str | int]) -> None:
    request = ("EVALSHA", *words)
    assert packed(request) == b"".join(Connection().pack_command(*request))


@given(WORDS, WORDS, WORDS)
def test_words_that_were_packed_before_go_out_the_same(
    first: list[bytes | str | int], ready: list[bytes | str | int], last: list[bytes | str | int]
) -> None:
    words = (*first, Packed.of(ready), *last)
    assert packed(words) == packed((*first, *ready, *last))
    assert list(plain(words)) == [*first, *ready, *last]
