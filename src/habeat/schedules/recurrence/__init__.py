"""Recurrence rules of RFC 5545: parsing, enumeration by arithmetic, and description."""

from __future__ import annotations

from habeat.schedules.recurrence.rrule import RRule

__all__ = ["RRule"]
