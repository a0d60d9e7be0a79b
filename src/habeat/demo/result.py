"""The result of the demo, as text and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from habeat.demo.scenario import Takeover
from habeat.demo.tally import Tally
from habeat.demo.watch import View

_IN_WORDS = {
    "SIGKILL": "leader killed (SIGKILL)",
    "SIGTERM": "leader stopped (SIGTERM)",
    "SIGSTOP": "leader frozen (SIGSTOP)",
}


@dataclass(frozen=True)
class Result:
    """The result of one run."""

    server: str
    dispatch: str
    lease_ttl_s: float
    seconds: float
    takeovers: Sequence[Takeover]
    tally: Tally
    view: View

    @property
    def exit_status(self) -> int:
        """0 only if every slot ran exactly once."""
        return 0 if self.tally.flawless else 1

    def to_json(self) -> dict[str, Any]:
        """The result for ``--json``."""
        late = self.view.overall
        counted = asdict(self.tally)
        by_entry = counted.pop("by_entry")
        return {
            "ok": self.tally.flawless,
            "server": self.server,
            "dispatch": self.dispatch,
            "lease_ttl_s": self.lease_ttl_s,
            "seconds": round(self.seconds, 1),
            "takeovers": [
                {**asdict(each), "took_ms": round(each.took_ms, 1)} for each in self.takeovers
            ],
            "slots": counted,
            "lateness_ms": {
                "p50": late.quantile_ms(0.5),
                "p99": late.quantile_ms(0.99),
                "max": late.max_ms,
            },
            "entries": {
                name: {"expected": due, "executed": done} for name, (due, done) in by_entry.items()
            },
        }

    def lines(self) -> list[str]:
        """The result as text."""
        tally = self.tally
        return [
            "",
            f"{self.server}, {self.dispatch} dispatch, lease of {self.lease_ttl_s:g} s",
            "",
            "takeovers",
            *(f"  {_IN_WORDS[t.how]:<26}{t.took_ms:>8,.0f} ms   {t.cause}" for t in self.takeovers),
            "",
            f"slots of {len(tally.by_entry)} entries",
            f"  expected    {tally.expected:>6}",
            f"  executed    {tally.executed:>6}",
            f"  duplicated  {tally.duplicated:>6}",
            f"  missed      {tally.missed:>6}",
            *([f"  never due   {tally.unexpected:>6}"] if tally.unexpected else []),
            *(f"    {example}" for example in tally.examples),
            "",
            "Every slot ran once." if tally.flawless else "NOT every slot ran exactly once.",
        ]
