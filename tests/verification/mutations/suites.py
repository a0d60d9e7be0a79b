"""Which other suites notice that a device is gone: each is tried against suites beside its own.

What keeps "once" or "never lost" (`Device.keeps`) must be caught by suites of two kinds, which do
not share their fakes: a test of the device itself, and one that only sees what comes of it. Results
are kept in a file, for a run takes hours; what is not in there was not tried.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.verification.mutations.device import Device
from tests.verification.mutations.trial import Workshop

PATH = Path(__file__).parent / "caught.json"

#: What pytest, or the simulation, runs.
SUITES = {
    "unit": "tests/unit",
    "scripts": "tests/integration/scripts",
    "history": "tests/verification/history",
    "conformance": "tests/integration/conformance",
    "simulation": "simulate 100 --failures 1",
    "replays": "tests/verification/simulation/test_replays.py",
    "lives": "tests/verification/simulation/test_lives.py -m slow",
    "windows": "tests/verification/simulation/test_windows.py",
    "losses": " ".join(
        f"tests/verification/simulation/test_{name}.py" for name in ("losses", "clocks")
    ),
    "servers": "tests/integration/test_catchup_policies.py tests/integration/test_client.py",
    "oracles": "tests/verification/oracles",
    "stateful": "tests/verification/stateful",
    "store": "tests/unit/store",
    "orders": "tests/integration/test_by_hand.py tests/integration/test_backfill_ends.py",
    "faults": "tests/integration/test_whose_fault.py",
    "confirms": "tests/integration/test_confirms.py",
    "forks": "tests/integration/test_forks.py",
}

#: What a suite runs the device against, by where its tests are; each kind has fakes of its own.
KINDS = {
    "tests/unit": "fakes",
    "tests/integration": "servers",
    "tests/integration/conformance": "model of Redis beside Redis",
    "tests/verification/simulation": "simulation",
    "simulate ": "simulation",
    "tests/verification/history": "checker",
    "tests/verification/oracles": "other programs",
    "tests/verification/stateful": "model of the schedule",
    "tests/system/acceptance": "processes",
}

#: Device -> suite -> the first test or seed that failed, "" if none did.
Found = Mapping[str, Mapping[str, str]]


def read() -> Found:
    """What was found out so far."""
    return json.loads(PATH.read_text("utf-8")) if PATH.exists() else {}  # type: ignore[no-any-return]


def kinds(device: Device, devices: Sequence[Device], found: Found) -> set[str]:
    """The kinds of suites that catch a device: its own, and what was found out.

    A device that stands in the table once more, for another suite, is the same one.
    """
    same = (device.file, device.old, device.new)
    own = [other.suite for other in devices if (other.file, other.old, other.new) == same]
    more = [SUITES[name] for name, test in found.get(device.name, {}).items() if test]
    return {_kind(suite) for suite in own + more}


def _kind(suite: str) -> str:
    return next(kind for where, kind in KINDS.items() if suite.startswith(where))


def try_all(devices: Sequence[Device], names: Sequence[str], again: bool) -> int:
    """Try each device against these suites until one notices; how many none does."""
    found = {name: dict(by) for name, by in read().items()}
    workshop, missed = Workshop(), 0
    try:
        for name in names:
            as_it_is = workshop.run(SUITES[name])
            assert not as_it_is.caught, f"{name} fails with every device in place: {as_it_is.by}"
        for device in devices:
            own = found.setdefault(device.name, {})
            for name in names:  # the first that notices is enough
                if again or name not in own:
                    own[name] = _tried(workshop, device, name)
                    PATH.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", "utf-8")
                if own[name]:
                    break
            missed += not any(own.get(name) for name in names)
    finally:
        workshop.close()
    return missed


def _tried(workshop: Workshop, device: Device, name: str) -> str:
    result = workshop.run_without(device.file, device.old, device.new, SUITES[name])
    print(f"{result.seconds:6.1f} s  {device.name}: {name}: {result.by or '-'}", flush=True)
    return _short(result.by)


def _short(by: str) -> str:
    """A test without its parameters; of a seed its number only."""
    return " ".join(by.split()[:2]) if by.startswith("seed ") else by.partition("[")[0]


_SECTION = """## Which suites catch each

A device keeps *once* or *never lost* if a slot is sent twice, or ends neither sent nor in the
ledger, when the device and everything behind it are gone. Such a device must be caught by suites of
two kinds: a test of the device itself with fakes or a real Redis, and one that sees only the
outcome. `tests/verification/mutations/test_table.py` holds the table to that{alone}.

`make mutations ARGS="--suites lives,replays,simulation"` tries each device against other suites
until one catches it. `replays` repeats every call of the shipped engine under different
circumstances, `lives` stages one situation exactly, and `simulation` runs 100 seeds
(`simulation/test_replays.py`, `simulation/lives.py`); `{suites}` can be named too. The results are
in `caught.json` beside the table. A device without results is caught by the tests named above and
was not tried against others.

| Device | Keeps | Caught by | Not by |
|---|---|---|---|
"""

#: Devices that only one kind of suite catches, each with the reason.
_TWO_LOSSES = "no life brings a loss of data between two claims that are both under way"
ALONE: dict[str, str] = {
    "timeline: an answer that has come before the next batch": _TWO_LOSSES,
    "timeline: an answer that has come when it is dropped": _TWO_LOSSES,
    "timeline: two answers with one heartbeat": _TWO_LOSSES,
    "outbox: one by one while little is due": "what a kill may repeat is judged by the window only",
    "outbox: what is under way before what goes only once": "a stop would have to meet two batches",
    "dispatch: one way in a batch": "in a run of the simulation all messages go one way",
    "catch-up: timeline's last slot": "its case is a slot in the very millisecond of a loss",
    "catch-up: uncertain, at most once": "the loss explains the repeat as well",
}


def section(devices: Sequence[Device]) -> str:
    """The end of the page."""
    found = read()
    rows = []
    for device in devices:
        by = found.get(device.name, {})
        yes = ", ".join([_own(device), *(name for name, test in by.items() if test)])
        no = ", ".join(name for name, test in by.items() if not test)
        if by or device.keeps:
            rows.append(f"| {device.name} | {device.keeps} | {yes} | {no} |\n")
    others = [name for name in SUITES if name not in ("lives", "replays", "simulation")]
    alone = ", but for those listed below it" if ALONE else ""
    head = _SECTION.format(alone=alone, suites="`, `".join(others))
    reasons = [f"- {name}: {why}\n" for name, why in ALONE.items()]
    return (
        head
        + "".join(rows)
        + ("\nCaught by one kind only:\n\n" if ALONE else "")
        + "".join(reasons)
    )


def _own(device: Device) -> str:
    """The suite of its own row, as short as it can be named."""
    return ", ".join(
        each.removeprefix("tests/").removesuffix(".py").replace("integration/", "")
        for each in (
            [device.suite] if device.suite.startswith("simulate ") else device.suite.split()
        )
    )
