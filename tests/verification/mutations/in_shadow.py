"""The devices of a change-over: a shadow sends nothing, and health sees what is left behind."""

from __future__ import annotations

from tests.verification.mutations.device import SCRIPTS, Device

CLAIMS = "tests/integration/scripts/test_shadow.py"
COMPARISON = "tests/unit/core/test_comparison.py"
DIFF = "tests/integration/test_diff.py"
OTHERS = "tests/unit/core/test_other_schedulers.py"
WATCHER = "tests/unit/beat/shadow/test_watcher.py"
SHADOW = "tests/integration/test_shadow.py"
DESCRIPTION = "tests/unit/beat/shadow/test_description.py"

ALL = [
    Device(
        "shadow: no broker",
        "A shadow has no connection to send a message with",
        "beat/assembly.py",
        "        if settings.shadow:\n            self.broker",
        "        if False:\n            self.broker",
        SHADOW,
    ),
    Device(
        "shadow: nothing is pushed",
        "The claim of a shadow pushes nothing, even if it is given a message to push",
        f"{SCRIPTS}/claim.lua",
        "ARGV[4], ARGV[5] == 'atomic'",
        "ARGV[4], ARGV[5] ~= 'outbox'",
        CLAIMS,
    ),
    Device(
        "shadow: no intent",
        "The claim of a shadow leaves nothing behind that a later leader would send",
        f"{SCRIPTS}/claim.lua",
        "  if shadow then\n    note_unsent(firing)\n    return\n  end\n",
        "",
        CLAIMS,
    ),
    Device(
        "shadow: an outcome of its own",
        "No reader mistakes a shadow's decision for a message that was sent",
        f"{SCRIPTS}/claim.lua",
        "record(firing.name, firing.slot, 'shadow', ",
        "record(firing.name, firing.slot, 'sent', ",
        CLAIMS,
    ),
    Device(
        "shadow: keys of its own",
        "What a shadow decided does not count as dispatched in the real run",
        "core/shadow.py",
        "return prefix + SUFFIX",
        "return prefix",
        SHADOW,
    ),
    Device(
        "shadow: an owner of its own",
        "A shadow and a beat that sends refuse each other's keys",
        "core/shadow.py",
        "return app_name + _MARK if shadow else app_name",
        "return app_name",
        SHADOW,
    ),
    Device(
        "shadow: not adopted",
        "Entries do not move from a shadow with positions of slots that were never sent",
        "client/adopting.py",
        "        if is_shadow(app):",
        "        if False:",
        SHADOW,
    ),
    Device(
        "shadow: adopts nothing",
        "Entries do not move into a shadow, where nothing would send them",
        "client/adopting.py",
        "    if is_shadow(calls.location.app_name) or is_shadow(owner):",
        "    if False:",
        SHADOW,
    ),
    Device(
        "shadow: by hand",
        "A handler of beat's signals sends nothing through a shadow",
        "beat/scheduler.py",
        "        return self._settings.shadow\n",
        "        return False\n",
        SHADOW,
    ),
    Device(
        "shadow: no arguments are kept",
        "Arguments of other programs' messages are stored as a digest only",
        "beat/shadow/description.py",
        "return hashlib.sha256(words.encode",
        "return words or hashlib.sha256(words.encode",
        DESCRIPTION,
    ),
    Device(
        "diff: unknown, not missing",
        "A slot that was not watched is never reported as missing",
        "core/comparison.py",
        "        if not self._terms.watched.has(from_ms, to_ms):\n",
        "        if False:\n",
        COMPARISON,
    ),
    Device(
        "diff: ambiguous",
        "A difference among entries that look alike is not blamed on one of them",
        "core/comparison.py",
        "        if len(names) == 1:\n",
        "        if True:\n",
        COMPARISON,
    ),
    Device(
        "diff: blind",
        "If no message was seen, no slot is reported as missing or as the same",
        "client/comparing.py",
        "    if not messages:\n",
        "    if False:\n",
        DIFF,
    ),
    Device(
        "diff: other processes",
        "Messages of web processes are not taken for the other beat's",
        "core/comparison.py",
        "    if len(theirs) < len(messages):\n",
        "    if False:\n",
        COMPARISON,
    ),
    Device(
        "watcher: the period ends before what waits",
        "A period does not count as watched until its messages are stored",
        "beat/shadow/watcher.py",
        "self._waiting[0][0] + behind_ms - 1 if self._waiting else redis_ms",
        "redis_ms",
        WATCHER,
    ),
    Device(
        "watcher: bounded",
        "Messages that cannot be stored take a bounded amount of memory, and their loss shows",
        "beat/shadow/watcher.py",
        "        if len(self._waiting) > WAITING_MOST:\n",
        "        if False:\n",
        WATCHER,
    ),
    Device(
        "health: entries left behind",
        "An empty schedule is not healthy while another scheduler has entries",
        "core/other_schedulers.py",
        "        if is_empty and other.entries != 0:\n",
        "        if False:\n",
        OTHERS,
    ),
    Device(
        "health: sent by both",
        "Two schedulers that send the same entries are not healthy",
        "core/other_schedulers.py",
        "        elif other.alive and other.shared and not (shadow or is_empty):\n",
        "        elif False:\n",
        OTHERS,
    ),
    Device(
        "health: one look at a time",
        "Looks that hang do not pile up",
        "beat/other_schedulers.py",
        "if is_time and (self._thread is None or not self._thread.is_alive()):",
        "if is_time:",
        "tests/integration/test_other_schedulers.py",
    ),
    Device(
        "shadow: bounded without its watcher",
        "The records of a shadow do not grow while its watcher cannot reach the broker",
        f"{SCRIPTS}/tick.lua",
        "math.min(math.max(excess, stale), TRIMMED)",
        "0",
        CLAIMS,
    ),
    Device(
        "diff: ends in time",
        "Pairing the records of a long period ends where the call's time does",
        "core/comparison.py",
        "            if count % CHECK_EVERY == 0:\n",
        "            if False:\n",
        COMPARISON,
    ),
    Device(
        "health: a shadow alone",
        "A shadow beside which no other beat sends is not healthy",
        "client/status.py",
        "        if shadow and seen.unseen >= UNSEEN_FROM",
        "        if False and seen.unseen >= UNSEEN_FROM",
        "tests/unit/client/test_problems.py",
    ),
]
