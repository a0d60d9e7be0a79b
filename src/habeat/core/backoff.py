"""How often and at which pace a refused message, request or entry is tried again.

    attempt   1    2    3    4     5     6     7     8     9    10
    pause       1 s  2 s  4 s  8 s  16 s  32 s  60 s  60 s  60 s

What is refused ends after the tenth attempt, some four minutes after the first. A broker or a
Redis that is away is no refusal: it is waited for.
"""

from __future__ import annotations

#: Attempts that one message or request has.
ATTEMPTS = 10
FIRST_MS, LONGEST_MS = 1_000, 60_000


def pause_ms(attempts: int) -> int:
    """How long to wait after so many refused attempts."""
    return min(LONGEST_MS, FIRST_MS << min(attempts - 1, 16)) if attempts > 0 else 0
