"""Where a follower begins."""

from __future__ import annotations

from typing import Any

import pytest

from habeat import Client, errors


@pytest.mark.parametrize(
    "after", ["abc", "", "5", "5-", "5-x", "-1-0", "1-0\n", "1" * 20 + "-0", 5]
)
def test_it_begins_after_a_record_only(after: Any) -> None:
    with (
        Client("redis://127.0.0.1:1", prefix="p", timeout=0.2) as client,
        pytest.raises(errors.ValidationError, match="id of a record"),
    ):
        client.follow(after=after)
