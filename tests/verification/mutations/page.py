"""docs/evidence/mutations.md, written from the table."""

from __future__ import annotations

from tests import DOCS
from tests.verification.mutations import suites
from tests.verification.mutations.devices import DEVICES, PARTS

PATH = DOCS / "evidence" / "mutations.md"

_HEAD = """# What each check is for, and who notices when it is gone

Every safety device of habeat below is a piece of text in `src/habeat`. `make mutations` switches
each of them off in a copy of the source, one at a time, runs the tests named beside it, and
expects them to fail. A device that nobody misses would be one that is not needed, or not tested;
then the command ends with 1.

```console
$ make mutations                               # all {count}
$ make mutations ARGS="claim: trust:"          # those whose names begin so
$ make mutations ARGS="'claim: early' --show"  # with what the failing test said
```

The suites are first run as they are, and must pass. All of them are part of `make test`, so a bug
of these kinds that is planted in the source fails there, too. Those in the last table are caught
by the simulation as well, which prints the history that led to it, to be read from top to bottom.
I1 to I11 are the [invariants](../internals/invariants.md).

To add a device: put a `Device` into one of the tables in `tests/verification/mutations`: its name,
what it protects, the file, the text that is the device (it must stand there exactly once, which a
test checks, so that the table cannot go stale), what to put in its place, and the tests that must
fail. Then `python -m tests.verification.mutations --write-docs` writes this page anew.
"""


def text() -> str:
    """The whole page."""
    parts = [_HEAD.format(count=len(DEVICES))]
    for title, devices in PARTS.items():
        parts.append(f"## {title}\n\n| Device | What it protects | Where | Caught by |")
        parts.append("|---|---|---|---|")
        for device in devices:
            where, who = f"`{device.file}`", _tests(device.suite)
            parts.append(f"| {device.name} | {device.protects} | {where} | {who} |")
        parts.append("")
    return "\n".join([*parts, suites.section(DEVICES)])


def _tests(suite: str) -> str:
    if suite.startswith("simulate "):
        return f"`{suite}`"
    return ", ".join(f"`{each.removeprefix('tests/')}`" for each in suite.split())
