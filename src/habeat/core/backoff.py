"""How often, and after which pauses, a refused message, request or entry is retried.

    attempt   1    2    3    4     5     6     7     8     9    10
    pause       1 s  2 s  4 s  8 s  16 s  32 s  60 s  60 s  60 s

Something that is refused is given up after the tenth attempt, about four minutes after the first.
An unavailable broker or Redis does not count as a refusal: habeat waits for it.
"""

from __future__ import annotations

#: The number of attempts for one message or request.
ATTEMPTS = 10
FIRST_MS, LONGEST_MS = 1_000, 60_000


def pause_ms(attempts: int) -> int:
    """How long to wait, in ms, after this many refused attempts."""
    return min(LONGEST_MS, FIRST_MS << min(attempts - 1, 16)) if attempts > 0 else 0
