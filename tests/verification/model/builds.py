"""Which builds of protocol.pml are checked, and which planted defects must be found.

The sizes say how many replicas, slots, crashes and other faults a build has; the search is
exhaustive for these. What an assertion promises is the comment behind it in protocol.pml; a
defect names the promises of which it must break one.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Size:
    """The size of a model; `cap` is how often a message may be sent again."""

    replicas: int = 3
    slots: int = 3
    crashes: int = 2
    others: int = 2
    cap: int = 1

    def flags(self) -> list[str]:
        values = {
            "REPLICAS": self.replicas,
            "SLOTS": self.slots,
            "CRASHES": self.crashes,
            "OTHERS": self.others,
            "CAP": self.cap,
        }
        return [f"-D{name}={value}" for name, value in values.items()]

    def __str__(self) -> str:
        return f"{self.replicas}x{self.slots}x{self.crashes}+{self.others}"


@dataclass(frozen=True, slots=True)
class Build:
    """One search. `formula` is a temporal property, "" for the assertions.

    `switches` are defined besides the mode: a kind of fault, a planted defect.
    `cycles` asks for any cycle in the state graph instead: where there is none, every run ends,
    and the assertions about the end are liveness.
    """

    name: str
    mode: str
    size: Size
    switches: tuple[str, ...] = ()
    formula: str = ""
    cycles: bool = False
    #: Every step of the model must be taken in this search.
    complete: bool = False

    @property
    def asked(self) -> str:
        """What the search checks, in a few words."""
        if self.formula:
            return f"ltl {self.formula}"
        return "every run ends (no cycle)" if self.cycles else "assertions, also of every end"


@dataclass(frozen=True, slots=True)
class Defect:
    """A safety device that is switched off, and the promises of which one must break."""

    flag: str
    what: str
    breaks: tuple[str, ...]
    mode: str = "OUTBOX"
    others: int = 1
    cycles: bool = False
    #: The kinds of faults without which it does no harm.
    needs: tuple[str, ...] = ()


#: A lease may vanish while its holder trusts it.
VANISH = ("EARLY_EXPIRY",)

SMALL = Size(2, 2, 1, 2)

QUICK = (
    Build("outbox", "OUTBOX", SMALL, complete=True),
    Build("at most once", "AT_MOST_ONCE", SMALL),
    Build("atomic", "ATOMIC", SMALL),
    Build("outbox", "OUTBOX", SMALL, cycles=True),
    Build("outbox, leases vanish", "OUTBOX", SMALL, VANISH, complete=True),
)

FULL = (
    Build("outbox", "OUTBOX", Size(others=3), complete=True),
    Build("outbox, cap 2", "OUTBOX", Size(cap=2), complete=True),
    Build("at most once", "AT_MOST_ONCE", Size(others=3)),
    Build("atomic", "ATOMIC", Size(others=3)),
    Build("outbox", "OUTBOX", Size(), cycles=True),
    Build("at most once", "AT_MOST_ONCE", Size(), cycles=True),
    Build("atomic", "ATOMIC", Size(others=3), cycles=True),
    Build("outbox", "OUTBOX", Size(others=1), formula="accounted"),
    Build("outbox", "OUTBOX", Size(others=1), formula="led"),
    Build("outbox, leases vanish", "OUTBOX", Size(), VANISH, complete=True),
    Build("at most once, leases vanish", "AT_MOST_ONCE", Size(), VANISH),
    Build("atomic, leases vanish", "ATOMIC", Size(others=3), VANISH),
    Build("outbox, leases vanish", "OUTBOX", Size(), VANISH, cycles=True),
)

DUPLICATE = "a fault explains every duplicate"
LIVE_TOKEN = "a claim implies the live token"
ONE_CLAIM = "at most one claim for a slot"
TWO = "never two messages of a slot"
COUNTS = "claimed = settled + abandoned + in flight"
WAYS_OUT = "in flight leads to settled or dead, nowhere else"
ENDS = "every slot ends settled or dead"
LEADER = "a replica leads in the end"
EVERY_RUN_ENDS = "every run ends"
NOBODYS = "no replica trusts a lease that is gone"

DEFECTS = (
    Defect("NO_TOKEN_CHECK", "no script compares the token", (DUPLICATE, LIVE_TOKEN)),
    Defect("NO_TOKEN_CHECK", "no script compares the token", (LIVE_TOKEN,), "ATOMIC"),
    Defect("NO_CURSOR_COMPARE", "a claim looks at no cursor", (ONE_CLAIM,)),
    Defect("NO_CURSOR_COMPARE", "a claim looks at no cursor", (ONE_CLAIM,), "ATOMIC"),
    Defect("NO_EPOCH", "a new leadership does not raise the lease epoch", ("no token repeats",)),
    Defect("NO_RECOVER_WAIT", "the thief recovers before the old trust has ended", (DUPLICATE,)),
    Defect("NO_DISTRUST", "an heir does not wait", (DUPLICATE,), needs=VANISH),
    Defect("NO_TRUST", "a message is sent without a look at the trust", (DUPLICATE,)),
    Defect("FENCED_SETTLE", "settling needs the lease", (DUPLICATE,)),
    Defect("NO_LEFTOVERS", "what could not be settled is forgotten", (DUPLICATE,)),
    Defect("SETTLES_TWICE", "settling counts an intent that is gone", (COUNTS,), others=2),
    Defect("COUNT_AT_RESTAMP", "recovering counts the attempt", ("what is buried was tried",)),
    Defect("NO_RECOVERY", "intents are not recovered", (ENDS,)),
    Defect("NO_RESTAMP", "recovering leaves the old token", (EVERY_RUN_ENDS,), cycles=True),
    Defect("NO_TAKEOVER", "a lease neither ends nor can be taken", (ENDS, LEADER)),
    Defect("BLIND_RELEASE", "a release does not compare the token", (NOBODYS,), others=2),
    Defect("RESENDS_ALL", "what may be sent once is sent again", (TWO,), "AT_MOST_ONCE"),
    Defect("PUSH_AFTER_CLAIM", "the claim comes before the push", (WAYS_OUT,), "ATOMIC"),
)


def with_defect(defect: Defect) -> Build:
    """The small build with this defect planted."""
    size = Size(2, 2, 1, defect.others)
    name = f"{defect.mode.lower().replace('_', ' ')} {defect.flag}"
    return Build(name, defect.mode, size, (*defect.needs, defect.flag), cycles=defect.cycles)
