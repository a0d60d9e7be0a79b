"""How a change of leader reads: in the log of the new leader, and in the history."""

from __future__ import annotations

#: A replica that has registered within this time counts as live.
LIVE_FOR_MS = 15_000

#: How a leader came to lead, in words.
CAUSES = {
    "first": "the first leader",
    "emptied": "after Redis was emptied",
    "released": "after the previous leader gave up its lease",
    "expired": "after the lease expired",
    "crash": "after the previous leader crashed",
    "stuck": "after the previous leader froze",
    "wedged": "after the previous leader ticked and sent nothing",
}
#: The causes that are a failure of the leader before.
UNPLANNED = frozenset({"expired", "crash", "stuck", "wedged"})
_AFTER = {
    "expired": "the lease of {} expired",
    "crash": "{} crashed",
    "stuck": "{} froze",
    "wedged": "{} ticked and sent nothing",
    "released": "{} gave up its lease",
}
#: By why a lease was released.
_RELEASED = {
    "stop": "{} was stopped",
    "step-down": "{} was asked to step down",
    "broker": "{} got no messages into the broker",
    "failures": "the ticks of {} failed",
}


def where(host: str, pid: int | None, replica: str) -> str:
    """A replica, for people: host and process id, or its id; "" if there is none."""
    if host:
        return f"{host} pid {'?' if pid is None else pid}"
    return f"replica {replica}" if replica else ""


def why_led(before: str, cause: str, why: str, gap_ms: int | None) -> str:
    """Why the lead changed, and how long no leader was seen: "web-1 pid 7 crashed; gap 912 ms".

    `before` is the leader before, "" if there was none; `why` is why it released the lease.
    """
    if not before:
        return CAUSES.get(cause, cause)
    template = _RELEASED.get(why) if cause == "released" else None
    # Not `format`: a cause that another program has stored may contain braces.
    reason = (template or _AFTER.get(cause, "{}: " + cause)).replace("{}", before, 1)
    gap = "" if gap_ms is None else f"; gap {gap_ms} ms"
    return reason + gap
