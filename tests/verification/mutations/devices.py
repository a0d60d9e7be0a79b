"""The table: every safety device, and the suite that must miss it."""

from __future__ import annotations

from tests.verification.mutations import (
    in_backup,
    in_change_log,
    in_client,
    in_django,
    in_engine,
    in_events,
    in_faults,
    in_going_back,
    in_holds,
    in_leadership,
    in_migration,
    in_names,
    in_protocol,
    in_reporting,
    in_schedules,
    in_scripts,
    in_shadow,
    in_stored_values,
    in_watching,
)
from tests.verification.mutations.device import Device

#: By the part of habeat that they are in.
PARTS: dict[str, list[Device]] = {
    "Scripts: every check": in_scripts.ALL,
    "Stored events": in_events.ALL,
    "Signals, alarms, pings, the log": in_reporting.ALL,
    "Leadership: trust, watching, stopping": in_leadership.ALL,
    "Dispatch, catch-up, edits": in_engine.ALL,
    "Bulkheads: whose fault, whose key": in_faults.ALL,
    "Holds: pauses of the whole schedule, windows": in_holds.ALL,
    "Calls of the Client": in_client.ALL,
    "The change log": in_change_log.ALL,
    "Backup, restore, YAML": in_backup.ALL,
    "Django's admin": in_django.ALL,
    "What is stored is hostile until decoded": in_stored_values.ALL,
    "Names, and Celery's settings": in_names.ALL,
    "Schedules and the change of clocks": in_schedules.ALL,
    "A shadow, and schedulers in sight": in_shadow.ALL,
    "Switching from another beat": in_migration.ALL,
    "Back to another beat, and django-celery-beat's rows": in_going_back.ALL,
    "The endpoint of a beat, and metrics": in_watching.ALL,
    "The protocol as a whole, by simulation": in_protocol.ALL,
}

DEVICES: list[Device] = [device for devices in PARTS.values() for device in devices]
