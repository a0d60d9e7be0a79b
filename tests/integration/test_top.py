"""`top`: one look at a real server, and the live screen in a terminal of this process."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import struct
import termios
from collections.abc import Iterator
from typing import Any

import pytest

from habeat.cli.top.looking import Looker
from habeat.cli.top.terminal import Terminal
from habeat.client import Client
from habeat.errors import RedisUnavailable, ValidationError
from tests.integration.scripts.bench import Bench
from tests.integration.test_cli import Shell
from tests.support.pty_screen import Screen
from tests.support.servers.redis_server import Server

PREFIX = "habeat:proj"


@pytest.fixture
def client(valkey: Server) -> Iterator[Client]:
    with Client(valkey.url(), prefix=PREFIX, timeout=1.0) as made:
        yield made


@pytest.fixture
def bench(valkey: Server) -> Bench:
    return Bench(valkey, PREFIX, "proj")


def fire(bench: Bench, name: str, token: Any) -> None:
    assert bench.claim(token, bench.claim_of(bench.place(name))) == ["ok"]


def test_without_a_terminal_it_prints_one_look(shell: Shell, bench: Bench) -> None:
    fire(bench, "report", bench.lead())
    done = shell("top")
    assert done.exit_code == 0, done.output
    for part in ("keys habeat:proj", "leader ", "NEXT DUE", "LEDGER", "report", "p50 "):
        assert part in done.output
    assert "\x1b" not in done.output
    assert "q quit" not in done.output


def test_as_json(shell: Shell, bench: Bench) -> None:
    fire(bench, "report", bench.lead())
    found = shell.json("top")
    assert found["status"]["entries"]["total"] == 1
    assert found["next_due"][0]["entry"] == "report"
    assert found["records"][0]["outcome"] == "sent"
    assert found["outcomes"] == {"sent": 1}
    assert found["lateness"]["max_ms"] >= 0
    assert found["sent_per_s"]["last_10s"] == 0.1
    assert "redis" in found


def test_an_empty_schedule(shell: Shell) -> None:
    assert "no leader" in shell("top", "--once").output
    assert shell.json("top")["lateness"] is None


def test_a_look_goes_on_where_the_last_one_ended_with_few_commands(
    client: Client, bench: Bench
) -> None:
    token = bench.lead()
    fire(bench, "first", token)
    looker = Looker(client)
    assert [each.entry for each in looker.look().records] == ["first"]
    for name in ("second", "third"):
        fire(bench, name, token)

    def commands() -> int:
        return int(bench.admin.info("stats")["total_commands_processed"])

    before = commands()
    found = looker.look()
    assert commands() - before < 60  # a status has 30, whatever the number of entries
    assert [each.entry for each in found.records] == ["first", "second", "third"]
    assert {name for name, _ in found.upcoming} == {"first", "second", "third"}


def test_records_that_come_too_fast_are_left_out(
    client: Client, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("habeat.client.history.NEWS_AT_ONCE", 1)
    token = bench.lead()
    looker = Looker(client)
    looker.look()
    for number in range(7):
        fire(bench, f"e{number}", token)
    found = looker.look()
    assert found.is_sampled
    assert [each.entry for each in found.records] == ["e0", "e1", "e2", "e3", "e4"]


def test_of_many_records_before_the_first_look_the_newest_are_read(
    client: Client, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("habeat.cli.top.looking.BEFORE", 2)
    token = bench.lead()
    for name in ("e0", "e1", "e2"):
        fire(bench, name, token)
    looker = Looker(client)
    for _ in range(2):
        found = looker.look()
        assert found.is_sampled  # until the five minutes are over
        assert [each.entry for each in found.records] == ["e1", "e2"]


def test_while_redis_is_away_what_was_known_stays(
    client: Client, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    fire(bench, "report", bench.lead())
    looker = Looker(client)
    looker.try_to_look()

    def away() -> Any:
        raise RedisUnavailable("it does not answer")

    monkeypatch.setattr(client, "status", away)
    first, second = looker.try_to_look(), looker.try_to_look()
    assert first.away == "it does not answer"
    assert first.away_s == second.away_s
    assert [each.entry for each in second.records] == ["report"]
    monkeypatch.undo()
    assert looker.try_to_look().away == ""


def test_what_is_due_next(client: Client, valkey: Server) -> None:
    client.add("later", "t", 3_600)
    client.add("sooner", "t", 60)
    (first, at), (second, _) = client.upcoming()
    assert (first, second) == ("sooner", "later")
    assert at == client.get("sooner").state.next_due
    assert len(client.upcoming(1)) == 1
    for count in (0, 10_001, "1", True):
        with pytest.raises(ValidationError):
            client.upcoming(count)  # type: ignore[arg-type]


# -- the terminal -------------------------------------------------------------------------------


class Emulated:
    """A terminal whose other end is in this process."""

    def __init__(self, columns: int, lines: int) -> None:
        self.master, self.slave = pty.openpty()
        self.screen = Screen(columns, lines)
        self.resize(columns, lines)
        self.mode = self.mode_now()

    def mode_now(self) -> list[Any]:
        return termios.tcgetattr(self.slave)

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.screen.resize(columns, lines)

    def shown(self) -> str:
        while select.select([self.master], [], [], 0)[0]:
            self.screen.feed(os.read(self.master, 65_536).decode())
        return self.screen.text

    def is_restored(self) -> bool:
        self.shown()
        screen = self.screen
        return screen.is_cursor_shown and not screen.is_second_buffer and self.is_as_before()

    def is_as_before(self) -> bool:
        return self.mode_now() == self.mode


@pytest.fixture
def emulated() -> Iterator[Emulated]:
    made = Emulated(20, 3)
    yield made
    os.close(made.master)
    os.close(made.slave)


def handlers() -> list[Any]:
    numbers = (signal.SIGTERM, signal.SIGHUP, signal.SIGWINCH, signal.SIGTSTP)
    return [signal.getsignal(number) for number in numbers]


def test_lines_and_keys_and_sizes(emulated: Emulated) -> None:
    before = handlers()
    with Terminal(emulated.slave, emulated.slave) as terminal:
        assert terminal.size == (20, 3)
        terminal.draw(["日本語", "two", "three"])
        assert emulated.shown() == "日本語\ntwo\nthree"
        terminal.draw(["1", "2", "3"])
        assert emulated.shown() == "1\n2\n3"
        assert not emulated.screen.is_cursor_shown
        os.write(emulated.master, "p\x1b[A日".encode())
        assert terminal.wait(5) == ["p", "日"]
        terminal.wake()
        assert terminal.wait(5) == []
        emulated.resize(30, 4)
        signal.raise_signal(signal.SIGWINCH)
        assert terminal.wait(5) == []
        assert terminal.size == (30, 4)
        terminal.draw(["1", "2", "3"])  # the same lines are drawn again
        assert emulated.shown() == "1\n2\n3\n"
    assert emulated.is_restored()
    assert handlers() == before


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGHUP, KeyError, KeyboardInterrupt])
def test_the_terminal_is_restored_whatever_ends_it(emulated: Emulated, end: Any) -> None:
    before = handlers()

    def run() -> None:
        with Terminal(emulated.slave, emulated.slave) as terminal:
            terminal.draw(["x"])
            if not isinstance(end, int):
                raise end
            signal.raise_signal(signal.Signals(end))

    with pytest.raises(SystemExit if isinstance(end, int) else end):
        run()
    assert emulated.is_restored()
    assert handlers() == before


def test_a_screen_that_is_not_utf8_gets_marks_for_what_it_cannot_show(emulated: Emulated) -> None:
    with Terminal(emulated.slave, emulated.slave, "ascii") as terminal:
        terminal.draw(["日 ok"])
        assert emulated.shown() == "? ok\n\n"


def test_json_wins_over_the_screen(shell: Shell) -> None:
    assert json.loads(shell("top", "--json", "--once").stdout)["records"] == []
