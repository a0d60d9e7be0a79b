"""The devices of the way back, and of reading django-celery-beat's rows."""

from __future__ import annotations

from tests.verification.mutations.device import Device

RETURNING = "tests/unit/migrate/test_returning.py"
ROWS = "tests/unit/migrate/sources/test_django_rows.py"
DJANGO = "tests/integration/test_migrating_django.py"
GOING_BACK = "tests/integration/test_going_back.py"

ALL = [
    Device(
        "back: a last run never moves back",
        "Repeating it after the other beat has run makes nothing run again",
        "migrate/going_back.py",
        "    if their_ms <= entry.state.cursor_ms:\n",
        "    if True:\n",
        GOING_BACK,
    ),
    Device(
        "back: an impossible last run",
        "A last run in the far future there does not silence an entry",
        "migrate/going_back.py",
        "    if their_run is None or their_run > now + timedelta(milliseconds=AHEAD_MS):\n",
        "    if their_run is None:\n",
        GOING_BACK,
    ),
    Device(
        "back: a period",
        "Another beat runs a period at the slot that is next here, neither at once nor late",
        "migrate/returning.py",
        "return slot_ms - entry.schedule.every_ms",
        "return slot_ms",
        RETURNING,
    ),
    Device(
        "back: a solar event",
        "Another beat does not repeat a solar event that it computes some milliseconds later",
        "migrate/returning.py",
        "    if isinstance(entry.schedule, Solar):\n",
        "    if False:\n",
        RETURNING,
    ),
    Device(
        "back: a start",
        "An entry with a later start does not start earlier in a beat that knows no start",
        "migrate/returning.py",
        "begin_ms = after_ms if entry.start_ms is None else max(after_ms, entry.start_ms - 1)",
        "begin_ms = after_ms",
        RETURNING,
    ),
    Device(
        "back: no other times",
        "A crontab of another zone does not run at the same hours of the app's zone",
        "migrate/returning.py",
        "    if isinstance(schedule, Crontab) and target.zone and not _counts_in(",
        "    if False and not _counts_in(",
        RETURNING,
    ),
    Device(
        "back: no run after the end",
        "An entry with an end does not run on in a beat that knows no end",
        "migrate/returning.py",
        "    if entry.end_ms is not None and not target.ends:",
        "    if False:",
        RETURNING,
    ),
    Device(
        "back: stopped beats",
        "Nothing is written while a beat of habeat would send the same slots",
        "migrate/going_back.py",
        "    if not (dry_run or force):\n        check_stopped(",
        "    if False:\n        check_stopped(",
        GOING_BACK,
    ),
    Device(
        "back: what is not written is disabled",
        "An old definition does not run beside the entry that habeat has of that name",
        "migrate/going_back.py",
        "        if self._there.get(name):\n",
        "        if False:\n",
        DJANGO,
    ),
    Device(
        "back: nothing at once",
        "What only the other beat has does not run as soon as it starts",
        "migrate/going_back.py",
        "        if next_run is not None and next_run <= self._now:\n",
        "        if False:\n",
        DJANGO,
    ),
    Device(
        "back: one row's fault",
        "A row that the database refuses does not stop the others",
        "migrate/targets/django.py",
        "    except ValidationError as error:",
        "    except ZeroDivisionError as error:",
        DJANGO,
    ),
    Device(
        "back: not one of code",
        "At its start, RedBeat does not delete an entry of the API as if it had left the code",
        "migrate/targets/redbeat.py",
        "change = pipeline.sadd if each.declared else pipeline.srem",
        "change = pipeline.sadd",
        GOING_BACK,
    ),
    Device(
        "back: the zone of the last run",
        "Celery before 5.7 counts a crontab in the zone of its last run, which is the app's",
        "migrate/targets/redbeat.py",
        "at = entry.last_run.astimezone(zone_named(zone).info)",
        "at = entry.last_run",
        GOING_BACK,
    ),
    Device(
        "back: a file in use",
        "The file of a running beat is not replaced",
        "migrate/targets/shelf.py",
        "        if found.alive:\n",
        "        if False:\n",
        GOING_BACK,
    ),
    Device(
        "rows: the zone of a crontab",
        "A crontab of django-celery-beat keeps its zone",
        "migrate/sources/django_rows.py",
        "    if settings.own_zones:\n",
        "    if False:\n",
        ROWS,
    ),
    Device(
        "rows: run once",
        "A one-off task that has run does not run again",
        "migrate/sources/django_rows.py",
        "        if row.one_off and row.enabled and row.total_run_count > 0:",
        "        if False:",
        ROWS,
    ),
    Device(
        "rows: one row's fault",
        "A row that cannot be read does not stop the others",
        "migrate/sources/django.py",
        "    if isinstance(row, Exception):\n",
        "    if False:\n",
        DJANGO,
    ),
    Device(
        "rows: a beat that writes",
        "Nothing is carried while last runs change, because the beat that writes them would go on",
        "migrate/sources/django.py",
        "    if _runs(tables) != before:\n",
        "    if False:\n",
        DJANGO,
    ),
]
