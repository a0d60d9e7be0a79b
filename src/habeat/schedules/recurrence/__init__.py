"""Recurrence rules of RFC 5545: parsed, enumerated by arithmetic, and put into words."""

from __future__ import annotations

from habeat.schedules.recurrence.rrule import RRule

__all__ = ["RRule"]
