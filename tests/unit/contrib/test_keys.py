"""Names in URLs and forms, and back."""

from __future__ import annotations

import pytest

pytest.importorskip("django")

from hypothesis import given
from hypothesis import strategies as st

from habeat.contrib.django.keys import key_of, name_of

names = st.one_of(
    st.text(min_size=1).filter(lambda name: name.encode(errors="ignore").decode() == name),
    st.binary(min_size=1).map(lambda raw: raw.decode("utf-8", "surrogateescape")),
    st.sampled_from([".", "..", "_x41", "_5F", "a/../b", "\x00", "\n", "\udc80"]),
)


@given(names)
def test_a_key_leads_back_to_its_name(name: str) -> None:
    assert name_of(key_of(name)) == name


@given(names)
def test_a_key_can_be_in_a_page_and_in_a_url(name: str) -> None:
    key = key_of(name)
    key.encode()
    assert "/" not in key
    assert key.isprintable()
    assert key.strip(".")


@pytest.mark.parametrize("key", ["_xzz", "_x4", "", "_", "_5"])
def test_what_is_no_key_leads_to_some_name(key: str) -> None:
    assert isinstance(name_of(key), str)
