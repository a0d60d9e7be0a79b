"""Schedules: rules that yield slots."""

from habeat.schedules.constructors import cron, crontab, every, once, rrule, solar
from habeat.schedules.cron import Cron
from habeat.schedules.crontab import Crontab
from habeat.schedules.interval import Interval, Once
from habeat.schedules.recurrence.rrule import RRule
from habeat.schedules.registry import from_json, register
from habeat.schedules.schedule import Remark, Run, Schedule
from habeat.schedules.solar import Solar

__all__ = [
    "Cron",
    "Crontab",
    "Interval",
    "Once",
    "RRule",
    "Remark",
    "Run",
    "Schedule",
    "Solar",
    "cron",
    "crontab",
    "every",
    "from_json",
    "once",
    "register",
    "rrule",
    "solar",
]
