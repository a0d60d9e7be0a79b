"""Messages that came twice, and the faults that may explain them; as strict as for histories.

With the atomic dispatch nothing that a soak does can make one. With the outbox a fault explains
it if its kind may (history/explanations.py), if it hit whom it has to have hit, and if it
was there between the slot's due time and the copy.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.system.soak.accounts import Copy
from tests.verification.history.events import Kind
from tests.verification.history.explanations import explains

#: Due times and faults are noted by different clocks of one machine, and scripts take time.
SLACK_S = 1.0


@dataclass(frozen=True, slots=True)
class Inflicted:
    """One fault, in wall-clock seconds. `victims` are nonces; none if it hits all."""

    kind: Kind
    what: str
    start_s: float
    end_s: float
    victims: frozenset[str] = frozenset()


def unexplained(
    copies: Iterable[Copy], faults: Sequence[Inflicted], holders: dict[int, str], *, outbox: bool
) -> list[str]:
    """The copies that no fault explains, each as a sentence. `holders`: lease epoch -> nonce."""
    found = []
    for copy in copies:
        near = [fault for fault in faults if _meets(fault, copy)]
        if not any(_may(fault, copy, holders, outbox) for fault in near):
            among = ", ".join(fault.what for fault in near) or "no fault at all"
            found.append(
                f"{copy.entry}@{copy.slot_ms} came twice (under {copy.earlier_epoch} and "
                f"{copy.epoch}), and it is not explained by {among}"
            )
    return found


def _meets(fault: Inflicted, copy: Copy) -> bool:
    begins_s = copy.slot_ms / 1_000 - SLACK_S
    return fault.start_s <= copy.at_s + SLACK_S and fault.end_s >= begins_s


def _may(fault: Inflicted, copy: Copy, holders: dict[int, str], outbox: bool) -> bool:
    def hit(epoch: int) -> bool:
        return not fault.victims or holders.get(epoch, "?") in fault.victims | {"?"}

    return explains(
        fault.kind, hit_earlier=hit(copy.earlier_epoch), hit_later=hit(copy.epoch), outbox=outbox
    )
