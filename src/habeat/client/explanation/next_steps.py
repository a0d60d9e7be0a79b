"""What to do about a slot that did not fire, by the reason in its record. Pure."""

from __future__ import annotations

import shlex

from habeat.client.explanation.chain import exact
from habeat.core.firing import DECLINED, DECLINED_BY, Outcome
from habeat.store.inspection import Record

#: `{name}` is the entry, `{backfill}` the command that fires the slot once more.
_BY_REASON = {
    "paused": "{resume} if it is to run again; {backfill} if the slot matters",
    "paused: all": "celery -A proj habeat resume --all; {backfill} if the slot matters",
    "disabled": "celery -A proj habeat update {name} --enable; {backfill} if the slot matters",
    "quarantined": "celery -A proj habeat show {name} says why; repair it, then {backfill}",
    "misfire: latest": "{backfill} if the slot matters; misfire='all' fires such slots",
    "misfire: skip": "{backfill} if the slot matters; misfire='latest' or 'all' fires such slots",
    "misfire: limit": "{backfill} if the slot matters; or a larger misfire_limit",
    "misfire: window": "{backfill} if the slot matters; or a longer misfire_window",
    "history lost": "{backfill} if the slot matters and its task did not run",
    "history uncertain": "check whether its task ran; if not, {backfill}",
    "expired": "a longer expires or deadline, or find out why it was late; {backfill}",
    "attempts used up": "celery -A proj habeat dead list, then dead resend or dead purge",
    "at most once": "check whether its task ran; if not, celery -A proj habeat dead resend",
    "the intent cannot be read": "find out who writes to Redis under this prefix",
    DECLINED: "see when the apply_async of the task's class declines; {backfill}",
    "fired before": "look for the trigger or backfill that sent it: celery -A proj habeat history",
}
_CIRCUIT = "circuit open"
_NONE_NEEDED = ("edited", "removed", "pruned")


def after(record: Record, name: str) -> str:
    """The next step for this record; "" if there is nothing to do."""
    reason = record.reason.partition(";")[0]
    if record.outcome is Outcome.SHADOW or reason in _NONE_NEEDED:
        return ""
    if reason.startswith(DECLINED_BY):
        reason = DECLINED
    step = _BY_REASON.get(reason, "")
    if reason.startswith(_CIRCUIT) or (record.outcome is Outcome.FAILED and not step):
        step = "correct the entry, see celery -A proj habeat show {name}; then {backfill}"
    return filled(step or "{backfill} if the slot matters", name, record.slot_ms, record.last_ms)


def filled(step: str, name: str, first_ms: int, last_ms: int) -> str:
    """The step with its commands for this entry and these slots."""
    shown = shlex.quote(name)
    begin, end = (_option(at_ms) for at_ms in (first_ms - 1, max(first_ms, last_ms)))
    backfill = f"celery -A proj habeat backfill {shown} --from {begin} --to {end}"
    resume = f"celery -A proj habeat resume {shown}"
    return step.format(name=shown, backfill=backfill, resume=resume)


def _option(at_ms: int) -> str:
    """An instant as the command line reads it."""
    return exact(at_ms).removesuffix(" UTC").replace(" ", "T") + "Z"
