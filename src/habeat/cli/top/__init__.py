"""``top``: a live screen of the schedule, for a person who watches it.

`looking` asks Redis in a thread of its own, so the keys work while Redis is away. `window` has the
figures of the last minutes, `page` makes the lines of the screen, `terminal` shows them and reads
keys, and `command` is the loop.
"""
