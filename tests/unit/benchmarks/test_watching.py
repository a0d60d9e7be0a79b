"""Each message taken from a watched queue gets the time at which it came."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from benchmarks.watching import AT_ONCE, STILL_US, follow

MS = 1_000


class Queue:
    """Messages come at these times; each question takes a millisecond."""

    poll_s = 0.0

    def __init__(self, comes_us: Sequence[int]) -> None:
        self.comes_us = comes_us
        self.now_us = 0
        self.taken = 0
        self.takes: list[int] = []

    def look(self) -> tuple[int, int]:
        self.now_us += MS
        return self.now_us, sum(each <= self.now_us for each in self.comes_us) - self.taken

    def take(self) -> tuple[int, list[bytes]]:
        at_us, length = self.look()
        first, self.taken = self.taken, self.taken + min(length, AT_ONCE)
        self.takes.append(at_us)
        return at_us, [b"%d" % number for number in range(first, self.taken)]


def followed(comes_us: Sequence[int], until_us: int) -> tuple[Queue, list[tuple[int, bytes]]]:
    queue = Queue(comes_us)
    return queue, follow(queue, until_us)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "comes_us",
    [
        [5 * MS],
        [5 * MS, 5 * MS, 9 * MS, 60 * MS, 61 * MS],
        [each * 7 * MS for each in range(1, 20)],
        [3 * MS] * (2 * AT_ONCE + 500) + [4 * MS],
    ],
)
def test_each_message_has_the_time_of_the_first_look_that_saw_it(comes_us: list[int]) -> None:
    _, found = followed(comes_us, 200 * MS)
    assert found == [(at_us, b"%d" % number) for number, at_us in enumerate(comes_us)]


def test_nothing_is_taken_out_while_messages_come() -> None:
    queue, _ = followed([each * MS for each in range(10, 60)], 150 * MS)
    assert [at_us for at_us in queue.takes if at_us < 59 * MS + STILL_US] == []


def test_what_comes_after_the_end_is_left_out() -> None:
    _, found = followed([5 * MS, 99 * MS], 50 * MS)
    assert [message for _, message in found] == [b"0"]
