"""What a confirming channel makes of what the broker says, without a broker."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from habeat.beat.broker.confirms import WAYS_KEPT, ConfirmingChannel, Nacked


class FakeConnection:
    """Gives its prepared answers when the test reads from it."""

    def __init__(self) -> None:
        self.events: Any = defaultdict(set)
        self.to_say: list[Callable[[], None]] = []
        self.transport = SimpleNamespace(driver_type="amqp", driver_name="py-amqp")
        self.confirming = False

    def channel(self) -> Any:
        channel = SimpleNamespace(events=self.events, confirm_select=self._confirm_select)
        channel.basic_publish = "waits for each"
        return channel

    def _confirm_select(self) -> None:
        self.confirming = True

    def drain_events(self, timeout: float) -> None:
        self.to_say.pop(0)()

    def says(self, what: str, number: int, multiple: bool = False) -> None:
        def say() -> None:
            for heard in self.events[what]:
                heard(number, multiple)

        self.to_say.append(say)


@pytest.fixture
def connection() -> FakeConnection:
    return FakeConnection()


@pytest.fixture
def channel(connection: FakeConnection) -> ConfirmingChannel:
    return ConfirmingChannel(connection)  # type: ignore[arg-type]


def test_it_confirms_and_does_not_wait(
    connection: FakeConnection, channel: ConfirmingChannel
) -> None:
    assert connection.confirming
    assert not hasattr(channel.channel, "basic_publish"), "the class's own, which does not wait"


def test_messages_are_numbered_from_one(channel: ConfirmingChannel) -> None:
    assert [channel.published().number for _ in range(3)] == [1, 2, 3]


def test_one_is_confirmed_and_the_others_are_not(
    connection: FakeConnection, channel: ConfirmingChannel
) -> None:
    for _ in range(3):
        channel.published()
    connection.says("basic_ack", 2)
    channel.listen(1.0)
    assert [channel.awaits(number) for number in (1, 2, 3)] == [True, False, True]
    assert channel.awaits(0)


def test_all_up_to_one_are_confirmed_at_once(
    connection: FakeConnection, channel: ConfirmingChannel
) -> None:
    for _ in range(3):
        channel.published()
    connection.says("basic_ack", 2, multiple=True)
    channel.listen(1.0)
    assert [channel.awaits(number) for number in (1, 2, 3)] == [False, False, True]


@pytest.mark.parametrize("multiple", [True, False])
def test_a_refused_message_is_reported_and_the_next_is_not(
    connection: FakeConnection, channel: ConfirmingChannel, multiple: bool
) -> None:
    channel.published()
    channel.published()
    connection.says("basic_nack", 1, multiple)
    connection.says("basic_ack", 2)
    channel.listen(1.0)
    channel.listen(1.0)
    with pytest.raises(Nacked):
        channel.awaits(1)
    assert not channel.awaits(2)


def test_what_is_known_of_destinations_is_bounded(channel: ConfirmingChannel) -> None:
    for number in range(WAYS_KEPT + 5):
        channel.learn(("", f"queue-{number}"))
    assert channel.knows(("", f"queue-{WAYS_KEPT + 4}"))
    assert len(channel._ways) <= WAYS_KEPT


def test_only_py_amqp_is_asked(connection: FakeConnection) -> None:
    assert ConfirmingChannel.fits(connection)  # type: ignore[arg-type]
    connection.transport = SimpleNamespace(driver_type="redis", driver_name="redis")
    assert not ConfirmingChannel.fits(connection)  # type: ignore[arg-type]
