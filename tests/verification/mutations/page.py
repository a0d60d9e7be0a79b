"""docs/evidence/mutations.md, written from the table."""

from __future__ import annotations

from tests import DOCS
from tests.verification.mutations import suites
from tests.verification.mutations.devices import DEVICES, PARTS

PATH = DOCS / "evidence" / "mutations.md"

_HEAD = """# Safety devices, and the tests that notice their absence

Every safety device of habeat below is a piece of text in `src/habeat`. `make mutations` switches
each of them off in a copy of the source, one at a time, and runs the tests beside it, which must
fail. If they pass, the device is either unnecessary or untested, and the command exits with 1.

```console
$ make mutations                               # all {count}
$ make mutations ARGS="claim: trust:"          # those whose names begin with one of these
$ make mutations ARGS="'claim: early' --show"  # with the output of the failing test
```

The suites first run unchanged and must pass. All of them are part of `make test`, so such a bug in
the source fails there too. The simulation also catches the devices of the last table, and prints
the history that led to the failure. I1 to I11 are the [invariants](../internals/invariants.md).

To add a device, put a `Device` into one of the tables in `tests/verification/mutations`: its name,
what it protects, the file, the text of the device, the replacement, and the tests that must fail.
The text must occur exactly once in the file; a test checks this, so the table cannot become
outdated. Then `python -m tests.verification.mutations --write-docs` writes this page again.
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
