"""Who else notices that a device is gone: each is tried against suites beside its own.

What protects "once" or "never lost" should be missed by two suites that do not share their fakes: a
test of the device itself, and one that only sees what comes of it. Results are kept in a file, for
a run takes hours; what is not in there was not tried.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.verification.mutations.device import Device
from tests.verification.mutations.trial import Workshop

PATH = Path(__file__).parent / "caught.json"

#: What pytest, or the simulation, is told to run.
SUITES = {
    "unit": "tests/unit",
    "scripts": "tests/integration/scripts",
    "history": "tests/verification/history",
    "conformance": "tests/integration/conformance",
    "simulation": "simulate 100 --failures 1",
    "replays": "tests/verification/simulation/test_replays.py",
    "lives": "tests/verification/simulation/test_lives.py",
}

#: Device -> suite -> the first test or seed that failed, "" if none did.
Found = Mapping[str, Mapping[str, str]]


def read() -> Found:
    """What was found out so far."""
    return json.loads(PATH.read_text("utf-8")) if PATH.exists() else {}  # type: ignore[no-any-return]


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


_SECTION = """## Who else notices

What protects "once" or "never lost" should be missed by two suites that do not share their fakes.
`make mutations ARGS="--suites replays,simulation"` tries each device against other suites, until
one notices: `replays` makes every call of the shipped engine again under other circumstances
(`simulation/test_replays.py`), `simulation` is 100 seeds; `unit`, `scripts`, `history`,
`conformance` and `lives` can be named, too. The results are kept in `caught.json` beside it.
Devices that are not listed were not tried. Where nobody of these notices, the tests named above do.

| Device | Noticed by | Not by |
|---|---|---|
"""


def section(devices: Sequence[Device]) -> str:
    """The end of the page."""
    found = read()
    rows = []
    for device in devices:
        by = found.get(device.name, {})
        yes = ", ".join(name for name, test in by.items() if test)
        no = ", ".join(name for name, test in by.items() if not test)
        if by:
            rows.append(f"| {device.name} | {yes} | {no} |\n")
    return _SECTION + "".join(rows)
