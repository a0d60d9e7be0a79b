"""Receivers of signals run in a thread of their own, and hold up nothing but themselves."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from habeat.beat.events.receivers import WAITING_MAX, Receivers
from habeat.clock import SystemClock
from habeat.signals import EventSignal
from tests.support.servers.children import until

LIMIT_MS = 50


@pytest.fixture
def receivers() -> Iterator[Receivers]:
    made = Receivers("app", SystemClock(), LIMIT_MS)
    yield made
    made.close()


def logged(caplog: pytest.LogCaptureFixture, code: str) -> list[str]:
    found = [each for each in caplog.records if getattr(each, "habeat_event", "") == code]
    return [each.getMessage() for each in found]


def test_receivers_are_called_in_order_with_signal_sender_and_facts(receivers: Receivers) -> None:
    signal, got = EventSignal("slot_missed"), []
    signal.connect(lambda **facts: got.append(facts), weak=False)
    for number in range(100):
        receivers.send(signal, {"entry": f"e{number}"})
    until(lambda: len(got) == 100, 10, "all have come")
    assert got[0] == {"signal": signal, "sender": "app", "entry": "e0"}
    assert [each["entry"] for each in got] == [f"e{number}" for number in range(100)]


def test_without_a_receiver_there_is_no_thread(receivers: Receivers) -> None:
    before = threading.active_count()
    receivers.send(EventSignal("slot_missed"), {})
    assert threading.active_count() == before
    assert receivers.room == WAITING_MAX


def test_a_receiver_of_another_app_is_not_called(receivers: Receivers) -> None:
    signal, got = EventSignal("slot_missed"), []
    signal.connect(lambda **_: got.append("other"), sender="another", weak=False)
    signal.connect(lambda **_: got.append("own"), sender="app", weak=False)
    receivers.send(signal, {})
    until(lambda: got, 10, "one has come")
    assert got == ["own"]


def test_a_receiver_that_raises_is_named_once_and_the_others_are_called(
    receivers: Receivers, caplog: pytest.LogCaptureFixture
) -> None:
    signal, got = EventSignal("slot_missed"), []
    works = threading.Event()

    def bad(**_: Any) -> None:
        if not works.is_set():
            raise SystemExit("no")

    signal.connect(bad)
    signal.connect(lambda **_: got.append(1), weak=False)
    for _ in range(5):
        receivers.send(signal, {})
    until(lambda: len(got) == 5, 10, "the other is called")
    (line,) = logged(caplog, "receiver_failed")
    assert "test_receivers.test_a_receiver_that_raises" in line
    assert "raises SystemExit('no')" in line
    assert "raises SystemExit('no')" in receivers.failing
    works.set()
    receivers.send(signal, {})
    until(lambda: len(logged(caplog, "receiver_failed")) == 2, 10, "it works again")
    assert logged(caplog, "receiver_failed")[1].endswith("bad works again")
    assert receivers.failing == ""


def test_a_receiver_that_hangs_holds_up_only_itself_until_it_returns(
    receivers: Receivers, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "habeat")
    signal, got, calls = EventSignal("slot_missed"), [], []
    let_go = threading.Event()

    def hung(**_: Any) -> None:
        calls.append(1)
        let_go.wait(30)

    signal.connect(hung)
    signal.connect(lambda entry, **_: got.append(entry), weak=False)
    for number in range(20):
        receivers.send(signal, {"entry": number})

    def done() -> bool:
        receivers.look()
        return len(got) == 20

    until(done, 10, "the other receiver gets all")
    assert got == list(range(20))
    assert calls == [1]
    assert receivers.dropped == 19
    (line,) = logged(caplog, "receiver_failed")
    assert "hung of the signal slot_missed does not return within 0.05 s" in line
    assert "does not return" in receivers.failing
    assert len(logged(caplog, "events_dropped")) == 1
    let_go.set()

    def called_again() -> bool:
        receivers.send(signal, {"entry": 20})
        return len(calls) > 1

    until(called_again, 10, "it is called again once it has returned")


def test_what_finds_the_queue_full_is_dropped_and_counted(receivers: Receivers) -> None:
    signal, let_go = EventSignal("slot_missed"), threading.Event()
    signal.connect(lambda **_: let_go.wait(30), weak=False)
    receivers._limit_us = 60_000_000
    receivers.send(signal, {})
    until(lambda: receivers.room == WAITING_MAX, 10, "the first call is under way")
    for _ in range(WAITING_MAX + 7):
        receivers.send(signal, {})
    assert receivers.dropped == 7
    assert receivers.room == 0
    let_go.set()


def test_a_stop_makes_the_calls_that_wait_but_waits_for_none_that_hangs() -> None:
    receivers = Receivers("app", SystemClock())
    signal, got = EventSignal("leader_lost"), []
    signal.connect(lambda **_: got.append(1), weak=False)
    receivers.send(signal, {})
    receivers.close()
    assert got == [1]
    receivers = Receivers("app", SystemClock())
    let_go = threading.Event()
    signal.connect(lambda **_: let_go.wait(30), weak=False)
    receivers.send(signal, {})
    receivers.close()
    let_go.set()
