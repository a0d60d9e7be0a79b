"""The schedule of the demo. Every moment has a slot of some entry in it."""

from __future__ import annotations

from habeat.schedules import Schedule, crontab, every

_PERIODS_S: dict[str, float] = {
    "pulse": 0.5,
    **dict.fromkeys(("presence", "heartbeat", "sessions", "stock"), 1),
    **dict.fromkeys(("prices", "queue-depth", "ticker", "positions"), 1),
    **dict.fromkeys(("inbox", "outbox", "ranking", "search", "webhooks"), 2),
    **dict.fromkeys(("cache", "alerts", "geo", "invoices"), 5),
    "report": 10,
}


def _schedules() -> dict[str, Schedule]:
    """An offset each, so that no leader can die in a quiet moment."""
    made: dict[str, Schedule] = {
        name: every(period_s, offset=i * 0.125 % period_s)
        for i, (name, period_s) in enumerate(_PERIODS_S.items())
    }
    return made | {"every-minute": crontab()}


SCHEDULES = _schedules()
