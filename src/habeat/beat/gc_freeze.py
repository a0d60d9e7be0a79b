"""The garbage collector, kept away from a schedule that is there to stay.

A hundred thousand entries are a few million objects, and none of them is garbage before the beat
ends. While they are made the collector would look through all of them again and again, for a
quarter of the time that a start takes; and later once in a while, for half a second in which
nothing is sent. So it pauses while they are made, and leaves them alone from then on.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def gc_frozen() -> Iterator[None]:
    """What is made meanwhile, and all that is there, is not looked through any more."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()
