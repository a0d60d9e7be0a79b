"""``migrate``: take over the entries of another beat, or hand them to one (cli/going_back.py).

Without ``--apply``, only say what it would do.

`_READERS` has one reader for each source. The other key prefix is apart, because `adopt` moves its
entries.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click

from habeat.beat.declared.beat_schedule import BeatSchedule
from habeat.beat.scheduler import Scheduler
from habeat.cli.carried import rows_json, say_counts, say_rows
from habeat.cli.going_back import TARGETS, go_back
from habeat.cli.group import LONG_TIMEOUT_S, HabeatCommand, bad, client_app, json_option
from habeat.cli.moments import moment_here
from habeat.cli.printing import entries_counted, progress, say, say_json
from habeat.client.adopting import adopt_from
from habeat.client.author import system_user
from habeat.client.calls import RetryingCalls
from habeat.client.location import Location, location_of_app
from habeat.client.status import read_status
from habeat.clock import SystemClock
from habeat.core.change_record import Author, Way
from habeat.core.shadow import is_shadow
from habeat.migrate.apply import Migration, migrated, only_here
from habeat.migrate.found import Living, Reading, SourceAlive
from habeat.migrate.plan import AHEAD_MS, UNFINISHED, Action, Here, Row
from habeat.migrate.sources import django, redbeat, shelf
from habeat.migrate.sources.heard import heard
from habeat.migrate.sources.prefix import living as prefix_living
from habeat.migrate.sources.prefix import read_prefix
from habeat.printable import repr_of
from habeat.schedules.schedule import moment, to_ms

#: How long one call may take.
TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Origin:
    """What a reader needs: the app, the names of its beat_schedule, its zone, and a file's path."""

    app: Any
    declared: Collection[str]
    zone: str
    path: Path


def _redbeat(origin: Origin) -> Reading:
    settings = redbeat.settings_of(origin.app.conf)
    return redbeat.read(settings, origin.declared, origin.zone, time.sleep)


def _shelf(origin: Origin) -> Reading:
    return shelf.read(origin.path, origin.declared)


def _django(origin: Origin) -> Reading:
    now = moment(SystemClock().wall_ms())
    return django.read(origin.app, origin.declared, now=now, sleep=time.sleep)


_READERS: dict[str, Callable[[Origin], Reading]] = {
    "redbeat": _redbeat,
    "django": _django,
    "shelve": _shelf,
}
_PREFIX = "prefix"


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The options of the command line."""

    source: str | None
    target: str | None
    old_prefix: str
    path: Path | None
    name_prefix: str
    sent_until: datetime | None
    apply: bool
    even_if_alive: bool


@click.command("migrate", cls=HabeatCommand)
@click.option(
    "--from",
    "source",
    type=click.Choice([*_READERS, _PREFIX]),
    help="Where the entries are: RedBeat's keys, django-celery-beat's tables, celery beat's file, "
    "or another key prefix.",
)
@click.option(
    "--to", "target", type=click.Choice([*TARGETS]), help="The way back: where to write them."
)
@click.option("--old-prefix", default="", help="The other key prefix, with --from prefix.")
@click.option("--schedule", "path", help="Celery beat's file, with --from shelve or --to shelve.")
@click.option(
    "--prefix", "name_prefix", default="", help="Only entries whose names start with this."
)
@click.option(
    "--sent-until",
    metavar="WHEN",
    help="Slots up to then count as sent by the beat that was stopped, whatever its last runs say.",
)
@click.option("--apply", "apply", is_flag=True, help="Write; without it, nothing is written.")
@click.option("--even-if-alive", is_flag=True, help="Even if the old beat may be running.")
@json_option
def migrate_command(sent_until: str | None, as_json: bool, path: str | None, **given: Any) -> None:
    """Carry the entries of another beat here with --from, or to it with --to.

    Each continues from its last run. With --from, entries that exist here are never changed; with
    --to, nothing here is changed. So the command can be repeated. Exits with status 1 if an entry
    cannot be carried, or if the beat that should be stopped may be running.
    """
    wanted = _Wanted(
        path=None if path is None else Path(path),
        sent_until=None if sent_until is None else _sent_until(sent_until),
        **given,
    )
    _check(wanted)
    if wanted.sent_until is not None and not as_json:
        say(f"slots until {wanted.sent_until.isoformat(' ', 'seconds')} count as sent")
    calls = RetryingCalls(
        lambda: location_of_app(client_app()), TIMEOUT_S, long_timeout_s=LONG_TIMEOUT_S
    )
    calls.author = Author(system_user(), Way.CLI)
    try:
        if wanted.target is not None:
            _go_back(calls, wanted, as_json=as_json)
        else:
            _come(calls, wanted, as_json=as_json)
    finally:
        calls.close()


def _go_back(calls: RetryingCalls, wanted: _Wanted, *, as_json: bool) -> None:
    assert wanted.target is not None
    if is_shadow(calls.location.app_name):
        raise click.UsageError(
            "habeat_shadow is set: a shadow has sent nothing, so it has no last runs to hand over"
        )
    go_back(
        calls,
        wanted.target,
        _path(wanted),
        as_json=as_json,
        dry_run=not wanted.apply,
        force=wanted.even_if_alive,
        prefix=wanted.name_prefix,
        sent_until_ms=_sent_until_ms(wanted),
    )


def _come(calls: RetryingCalls, wanted: _Wanted, *, as_json: bool) -> None:
    done, alive, hint = _migrate(calls, wanted)
    now = moment(calls.read(lambda session: session.inspection.now_ms()))
    if as_json:
        say_json(_as_json(done, alive, hint))
    else:
        _say(done, alive, hint, now, calls.location)
    unwanted = done.written and alive.alive and not wanted.even_if_alive
    if unwanted or any(row.action in UNFINISHED for row in done.rows):
        bad()


def _sent_until(written: str) -> datetime:
    """The instant that was given; a UsageError if it would silence the entries."""
    at = moment_here(written)
    if at > moment(SystemClock().wall_ms()) + timedelta(milliseconds=AHEAD_MS):
        raise click.UsageError(
            f"--sent-until {at.isoformat(' ', 'seconds')} is in the future, so nothing would be "
            "sent until then: give the time at which the old beat was stopped"
        )
    return at


def _check(wanted: _Wanted) -> None:
    if (wanted.source is None) == (wanted.target is None):
        raise click.UsageError("give one of --from and --to")
    if (wanted.source == _PREFIX) != bool(wanted.old_prefix):
        raise click.UsageError("--old-prefix belongs to --from prefix")
    if wanted.path is not None and "shelve" not in (wanted.source, wanted.target):
        raise click.UsageError("--schedule belongs to --from shelve or --to shelve")
    if wanted.target == "shelve" and wanted.name_prefix:
        raise click.UsageError("--to shelve takes no --prefix: it replaces the whole file")
    if wanted.source == _PREFIX and (wanted.name_prefix or wanted.sent_until):
        raise click.UsageError("--from prefix takes neither --prefix nor --sent-until")


def _migrate(calls: RetryingCalls, wanted: _Wanted) -> tuple[Migration, Living, str]:
    """What became of the entries, and whether the other beat is alive (after the write, if any)."""
    here = _here(calls)
    if wanted.source == _PREFIX:
        return _from_prefix(calls, wanted, here)
    origin = Origin(client_app(), {*here.declared, *here.broken}, here.timezone, _path(wanted))
    reading = _read(calls, wanted, origin)
    _refuse_alive(reading, wanted)
    done = migrated(
        calls,
        reading,
        here,
        dry_run=not wanted.apply,
        sent_until_ms=_sent_until_ms(wanted),
        progress=progress("migrating"),
    )
    alive = reading.living
    if wanted.apply and not wanted.even_if_alive:
        alive = _since(reading, _read(calls, wanted, origin))
    hints = (
        reading.hint,
        _shared(here, wanted.name_prefix),
        _only_here(only_here(calls, reading, wanted.name_prefix), str(wanted.source)),
    )
    return done, alive, "; ".join(filter(None, hints))


def _read(calls: RetryingCalls, wanted: _Wanted, origin: Origin) -> Reading:
    """The entries whose names begin as wanted, and whether the other beat may be running."""
    reading = _selected(_READERS[str(wanted.source)](origin), wanted.name_prefix)
    if wanted.source != "django" or reading.living.alive:
        return reading
    # Its tables do not show that. A beat in this folder that is not habeat's shows it, and so does
    # a message that is sent now.
    others = set(shelf.beats_in(Path.cwd())) - _own_pids(calls)
    if others:
        evidence = f"process {min(others)} is a celery beat that runs in this folder"
    else:
        evidence = heard(origin.app, reading.entries)
    return replace(reading, living=Living(True, evidence)) if evidence else reading


def _own_pids(calls: RetryingCalls) -> set[str]:
    """The processes of the beats of this prefix."""
    grace_ms = calls.location.policies.misfire_grace_ms
    status = calls.read(lambda session: read_status(session.inspection, grace_ms))
    return {str(replica.pid) for replica in status.replicas}


def _only_here(names: Sequence[str], source: str) -> str:
    """A note on entries that fire here and are not in the source; "" for none."""
    if not names or source == "shelve":  # a file that has entries of the code only
        return ""
    named = ", ".join(map(repr_of, names[:3])) + (", …" if len(names) > 3 else "")
    return f"habeat also fires {entries_counted(len(names))} that the other beat lacks: {named}"


def _shared(here: Here, name_prefix: str) -> str:
    """A note on entries of the code that both beats run after a switch by name; "" for none."""
    others = sum(not name.startswith(name_prefix) for name in here.declared)
    if not others:
        return ""
    return (
        f"beat_schedule also has {entries_counted(others)} without {repr_of(name_prefix)}: both "
        "beats send these while both run, unless one of them runs with another beat_schedule"
    )


def _since(before: Reading, after: Reading) -> Living:
    """Whether the other beat has been started since it was read: then both send."""
    last_runs = {entry.name: entry.last_run_at for entry in before.entries}
    for entry in after.entries:
        if entry.last_run_at != last_runs.get(entry.name):
            return Living(True, f"it has sent entry {repr_of(entry.name)} meanwhile")
    return after.living


def _from_prefix(
    calls: RetryingCalls, wanted: _Wanted, here: Here
) -> tuple[Migration, Living, str]:
    found = read_prefix(calls, wanted.old_prefix, {*here.declared, *here.broken})
    _refuse_alive(found.reading, wanted)
    dry_run = not wanted.apply
    moved = adopt_from(calls, wanted.old_prefix, dry_run=dry_run, force=wanted.even_if_alive)
    done = migrated(calls, found.reading, here, dry_run=dry_run)
    rows = [
        *done.rows,
        *(found.moving.get(name, Row(name, Action.CARRY)) for name in moved.adopted),
        *(Row(name, Action.REFUSE, why=why) for name, why in moved.refused.items()),
    ]
    alive = found.reading.living
    if wanted.apply and not wanted.even_if_alive:
        source = calls.under(wanted.old_prefix)
        alive = prefix_living(source)
        source.close()
    return replace(done, rows=sorted(rows, key=lambda row: row.name)), alive, ""


def _here(calls: RetryingCalls) -> Here:
    """This app's side: its zone, its limits, and the entries of its code."""
    app, location = client_app(), calls.location
    app.loader.import_default_modules()
    app.finalize()
    found: BeatSchedule = Scheduler(app, lazy=True).declarations()
    return Here(location.timezone, location.limits, found.entries, found.broken)


def _sent_until_ms(wanted: _Wanted) -> int | None:
    return None if wanted.sent_until is None else to_ms("sent_until", wanted.sent_until)


def _path(wanted: _Wanted) -> Path:
    return wanted.path or Path(str(client_app().conf.beat_schedule_filename))


def _selected(reading: Reading, name_prefix: str) -> Reading:
    return replace(
        reading,
        entries=[each for each in reading.entries if each.name.startswith(name_prefix)],
        uncarried=[each for each in reading.uncarried if each.name.startswith(name_prefix)],
    )


def _refuse_alive(reading: Reading, wanted: _Wanted) -> None:
    if wanted.apply and reading.living.alive and not wanted.even_if_alive:
        raise SourceAlive(reading.source, reading.living.evidence)


# -- what is printed --------------------------------------------------------------------------

_WORDS = {
    Action.CARRY: ("carried", "green"),
    Action.DECLARE: ("declared", "green"),
    Action.CONTINUE: ("continued", "green"),
    Action.PRESENT: ("present", ""),
    Action.KEEP: ("kept", "yellow"),
    Action.SPENT: ("over", ""),
    Action.DROP: ("dropped", ""),
    Action.REFUSE: ("not carried", "red"),
}
_SUMMARY = {
    Action.CARRY: ("carried", "would be carried"),
    Action.DECLARE: (
        "of beat_schedule continued from the last run",
        "of beat_schedule would continue from the last run",
    ),
    Action.CONTINUE: (
        "here already, moved on to the last run",
        "here already, would move on to the last run",
    ),
    Action.PRESENT: ("here already", "here already"),
    Action.KEEP: ("not carried: another entry has the name",) * 2,
    Action.SPENT: ("without another slot, not carried",) * 2,
    Action.DROP: ("that the other beat would drop too",) * 2,
    Action.REFUSE: ("not carried", "cannot be carried"),
}


def _say(done: Migration, alive: Living, hint: str, now: datetime, location: Location) -> None:
    say(f"from {done.source}")
    say(f"to the prefix {location.prefix}")
    # What a person has to look at is last, next to the summary.
    rows = sorted(done.rows, key=lambda row: row.action in UNFINISHED)
    say_rows(rows, _WORDS, UNFINISHED, now)
    say_counts(rows, _SUMMARY, written=done.written)
    if hint:
        say(f"note: {hint}")
    if alive.alive and is_shadow(location.app_name):
        say(f"note: the other beat may be running, as it should beside a shadow: {alive.evidence}")
    elif alive.alive:
        now_both = "both beats send now: stop it" if done.written else "stop it before --apply"
        say(f"the other beat may be running: {alive.evidence}; {now_both}", "yellow")
    elif alive.evidence:
        say(f"note: {alive.evidence}")
    if not done.written:
        say("nothing was written; to write, give --apply")


def _as_json(done: Migration, alive: Living, hint: str) -> Mapping[str, Any]:
    return {
        "source": done.source,
        "written": done.written,
        "alive": alive.alive,
        "evidence": alive.evidence,
        "hint": hint,
        "rows": rows_json(done.rows),
    }
