"""The demo's schedule: at every moment some entry has a slot nearby."""

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
    """The entries' schedules, with different offsets so that there is never a quiet moment."""
    made: dict[str, Schedule] = {
        name: every(period_s, offset=i * 0.125 % period_s)
        for i, (name, period_s) in enumerate(_PERIODS_S.items())
    }
    return made | {"every-minute": crontab()}


SCHEDULES = _schedules()
