"""Two failovers within seconds are two losses, each with what its own master held."""

from __future__ import annotations

from tests.system.chaos.masters import history
from tests.verification.history.checker import judge
from tests.verification.history.events import Event, Expectation, Gap, Lost, Words, begins_us
from tests.verification.history.tale import BASE, START_MS, Tale

SECOND_US = 1_000_000
START_US = START_MS * 1_000


def _at(ms: int) -> int:
    return START_US + ms * 1_000


def _kept(*words: tuple[object, ...]) -> tuple[Words, ...]:
    return tuple(
        (str(command).encode(), (BASE + str(key)).encode(), *(str(w).encode() for w in rest))
        for command, key, *rest in words
    )


def _two_failovers() -> list[list[Event]]:
    """The first master, then one that was deposed before it wrote anything, then the third.

    The leader continues under its lease at the second, and records there what it has missed. The
    third was read as the new master a tenth of a second earlier, and had no lease.
    """
    first = Tale(atomic=True).lead("a").add().until(1_000).fire(1_000)
    definition = first.definition("e", 1_000).decode()
    second = Tale(atomic=True)
    second.__dict__.update(first.__dict__, events=[])
    second.until(2_950).renew().until(3_000).skip(2_000, 2_000).fire(3_000)
    third = Tale(atomic=True)
    third.__dict__.update(first.__dict__, events=[])
    state = f"{START_MS + 1_000}|{START_MS + 2_000}|||1"
    kept = _kept(("HSET", "entries", "e", definition), ("HSET", "state", "e", state))
    third.events.append(Gap(_at(1_500), _at(2_900), kept))
    third.until(3_200).lead("c").skip(2_000, 2_000).fire(3_000)
    return [first.events, second.events, third.events]


def _problems(events: list[Event]) -> list[str]:
    expectation = Expectation(BASE, 4 * SECOND_US, atomic=True, misses=False, complete=False)
    return judge(sorted(events, key=begins_us), expectation).problems


def test_the_records_of_a_deposed_master_are_judged_by_its_own_lease() -> None:
    """It was said of them that the lease was free: so it was on the one that came next."""
    assert _problems(history(_two_failovers())) == []


def test_each_loss_has_a_moment_of_its_own() -> None:
    events = history(_two_failovers())
    moments = [event.at_us for event in events if isinstance(event, Lost)]
    assert len(moments) == len(set(moments)) == 2
    assert [begins_us(event) for event in events if isinstance(event, Lost)] == sorted(moments)


def test_what_a_replica_without_the_lease_records_is_still_wrong() -> None:
    first, second, third = _two_failovers()
    stray = Tale(atomic=True)
    stray.token = "7:x"
    stray.until(3_500)
    fields = {"reason": "misfire: latest", "count": 1, "until": START_MS + 4_000}
    stray.record("e", START_MS + 4_000, "missed", **fields).end()
    problems = _problems(history([first, second, [*third, *stray.events]]))
    assert any("recorded as missed by lease epoch 7" in problem for problem in problems)
