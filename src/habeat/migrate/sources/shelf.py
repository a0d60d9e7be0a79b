"""Read the file of celery's own beat, `celerybeat-schedule`.

It is a shelf: a dbm file with one pickle of all entries under the key `entries`. The pickle is read
as data (pickled.py), since habeat runs no pickle of another program. All entries of the file
are copies of beat_schedule; beat drops any other at its start. So what matters is their last runs.

Celery's beat writes the file every 3 minutes and when it stops. After a kill, the last runs may be
that much older than what was sent.
"""

from __future__ import annotations

import dbm
import os
import re
import sqlite3
from collections.abc import Container, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Any

from habeat.config.local_zone import local_zone_name
from habeat.errors import HabeatError
from habeat.migrate.found import Living, Reading, SourceEntry, SourceUnreadable, Uncarried
from habeat.migrate.sources.pickled import Call, data_of
from habeat.printable import kind_of, repr_of
from habeat.schedules.zone import zone_named

#: What dbm adds to the name, by flavour.
SUFFIXES = ("", ".db", ".dat", ".dir", ".pag")
BYTES_MOST = 100_000_000
_SQLITE = b"SQLite format 3\0"
_MOMENT_BYTES = 10
#: The command line of `celery beat`, or of a worker with a beat in it.
_BEAT = re.compile(rb"\bcelery\b.*(\bbeat\b|\s(-B|--beat)\b)", re.DOTALL)
STALE = (
    "celery's beat writes its last runs every 3 minutes and when it stops; if it was killed, give "
    "the time of the kill with --sent-until"
)


def read(path: Path, declared: Container[str]) -> Reading:
    """The entries of the file; `declared` are the names of this code's beat_schedule.

    SourceUnreadable.
    """
    _check_size(path)
    shelf = _contents(path)
    try:
        found = data_of(shelf[b"entries"])
    except KeyError:
        raise SourceUnreadable(f"{path} has no entries: it is no file of celery's beat") from None
    except HabeatError as error:
        raise SourceUnreadable(f"the entries in {path} cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise SourceUnreadable(f"the entries in {path} are not a dict, as celery's beat writes it")
    entries: list[SourceEntry] = []
    uncarried: list[Uncarried] = []
    for name, entry in sorted(_named(found), key=lambda each: each[0]):
        try:
            entries.append(_entry(name, entry))
        except HabeatError as error:
            uncarried.append(Uncarried(name, str(error)))
    kept = [entry for entry in entries if entry.name in declared]
    gone = [
        Uncarried(entry.name, "this code's beat_schedule does not have it", dropped=True)
        for entry in entries
        if entry.name not in declared
    ]
    return Reading(f"celery's beat in {path}", kept, [*uncarried, *gone], living(path), STALE)


def _named(found: Mapping[Any, Any]) -> list[tuple[str, Any]]:
    """The entries with their names; celery's beat has no other keys than texts."""
    return [
        (key if isinstance(key, str) else f"a key that is {kind_of(key)}", value)
        for key, value in found.items()
    ]


# -- the file ---------------------------------------------------------------------------------


def _files(path: Path) -> list[Path]:
    named = (path.with_name(path.name + suffix) for suffix in SUFFIXES)
    return [each for each in named if each.is_file()]


def _check_size(path: Path) -> None:
    try:
        files = _files(path)
        size = sum(each.stat().st_size for each in files)
    except OSError as error:
        raise SourceUnreadable(f"{path} cannot be read: {error.strerror}") from None
    if not files:
        raise SourceUnreadable(
            f"there is no file {path}: run the command in the folder where celery's beat ran, or "
            "name its file with --schedule"
        )
    if size > BYTES_MOST:
        raise SourceUnreadable(f"{path} has {size} bytes, more than celery's beat needs")


def _contents(path: Path) -> Mapping[bytes, bytes]:
    """The keys of a shelf that are needed here."""
    try:
        if path.is_file() and path.read_bytes()[: len(_SQLITE)] == _SQLITE:
            return _of_sqlite(path)  # dbm.sqlite3, which older Pythons lack
        with dbm.open(str(path), "r") as opened:
            return {key: opened[key] for key in (b"entries",) if key in opened}
    except ImportError:
        raise SourceUnreadable(
            f"{path} is a {dbm.whichdb(str(path))} file, which this Python cannot read: run the "
            "command with the Python that ran celery beat"
        ) from None
    except Exception as error:  # the file's: a damaged one makes dbm raise nearly anything
        raise SourceUnreadable(f"{path} cannot be read: {_why(path, error)}") from None


def _of_sqlite(path: Path) -> Mapping[bytes, bytes]:
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as opened:
        rows = opened.execute("SELECT value FROM Dict WHERE key = ?", (b"entries",)).fetchall()
    value = rows[0][0] if rows else None
    return {b"entries": value} if isinstance(value, bytes) else {}


def _why(path: Path, error: BaseException) -> str:
    kind = dbm.whichdb(str(path))
    if kind and "available" in str(error):
        return (
            f"it is a {kind} file, which this Python cannot read: run the command with the Python "
            "that ran celery beat"
        )
    return str(error) or type(error).__name__


# -- one entry --------------------------------------------------------------------------------


def _entry(name: str, found: Any) -> SourceEntry:
    """An entry as celery pickles it: ScheduleEntry(name, task, last run, count, schedule, …)."""
    args = found.args if isinstance(found, Call) else None
    if not isinstance(args, tuple) or len(args) < 4 or args[0] != name:
        raise HabeatError("it is not an entry of celery's beat")
    at, count = args[2], args[3]
    if type(count) is not int or count < 0:
        raise HabeatError("its number of runs is not a whole number")
    # An entry that has not run has as its last run the moment when beat first saw it.
    return SourceEntry(name, last_run_at=_moment(at), total_run_count=count, declared=True)


def _moment(found: Any) -> datetime:
    if not isinstance(found, Call) or found.path != "datetime.datetime":
        raise HabeatError("its last run is not a datetime")
    args = found.args if isinstance(found.args, tuple) else ()
    raw, zone = (*args, None, None)[:2]
    if not isinstance(raw, bytes) or len(raw) != _MOMENT_BYTES:
        raise HabeatError("its last run is not a datetime as Python 3 writes it")
    try:
        day, fold = datetime(raw[0] * 256 + raw[1], raw[2] & 0x7F, raw[3]), raw[2] >> 7
        micros = int.from_bytes(raw[7:10], "big")
        at = day.replace(hour=raw[4], minute=raw[5], second=raw[6], microsecond=micros, fold=fold)
        return at.replace(tzinfo=UTC if zone is None else _zone(zone)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise HabeatError("its last run is not a valid datetime") from None


def _zone(found: Any) -> tzinfo:
    """The zone that a pickle names: of zoneinfo, of datetime, of pytz, or celery's local one."""
    args = found.args if isinstance(found, Call) and isinstance(found.args, tuple) else ()
    path = found.path if isinstance(found, Call) else ""
    match path:
        case "zoneinfo.ZoneInfo._unpickle" | "backports.zoneinfo.ZoneInfo._unpickle" | "pytz._p":
            return zone_named(args[0] if args else "").info
        case "datetime.timezone":
            return timezone(_span(args[0] if args else None))
        case "pytz._UTC":
            return UTC
        case "celery.utils.time.LocalTimezone":
            return zone_named(local_zone_name()).info
    raise HabeatError(f"its last run has an unknown time zone {repr_of(path)}")


def _span(found: Any) -> timedelta:
    if isinstance(found, Call) and found.path == "datetime.timedelta":
        days, seconds, micros = (*found.args, 0, 0, 0)[:3]
        return timedelta(days, seconds, micros)
    raise HabeatError("its last run has an unknown time zone")


# -- is it alive? -----------------------------------------------------------------------------


def living(path: Path, processes: Path = Path("/proc")) -> Living:
    """Whether a beat of this file runs, where the system tells.

    A beat has its file open, unless it is a `dbm.dumb` one. So a beat that runs in the file's
    folder counts too.
    """
    for holder, what in _holders(path, processes):
        return Living(True, f"process {holder} has {what} open")
    for process in beats_in(path.absolute().parent, processes):
        return Living(True, f"process {process} is a celery beat that runs in the file's folder")
    if pid := _pid_of(path.with_name("celerybeat.pid"), processes):
        return Living(True, f"celerybeat.pid names process {pid}, which runs")
    return Living(False)


def _holders(path: Path, processes: Path) -> list[tuple[str, Path]]:
    """The processes that have a file of this shelf open."""
    wanted: dict[tuple[int, int], Path] = {}
    for each in _files(path):
        found = each.stat()
        wanted[found.st_dev, found.st_ino] = each
    holders: list[tuple[str, Path]] = []
    for process in _numbered(processes):
        if process.name == str(os.getpid()):
            continue
        try:
            for opened in (process / "fd").iterdir():
                found = opened.stat()
                if at := wanted.get((found.st_dev, found.st_ino)):
                    holders.append((process.name, at))
        except OSError:  # it ended, or belongs to another user
            continue
    return holders


def beats_in(folder: Path, processes: Path = Path("/proc")) -> list[str]:
    """The processes that are celery's beat by their command line, and run in this folder."""
    found: list[str] = []
    for process in _numbered(processes):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ")
            if _BEAT.search(command) and (process / "cwd").resolve() == folder.resolve():
                found.append(process.name)
        except OSError:  # it ended, or belongs to another user
            continue
    return found


def _numbered(processes: Path) -> list[Path]:
    try:
        return [each for each in processes.iterdir() if each.name.isdigit()]
    except OSError:  # not Linux
        return []


def _pid_of(pidfile: Path, processes: Path) -> str:
    """The process that a pidfile names, if it runs; "" otherwise."""
    try:
        pid = pidfile.read_text()[:20].strip()
    except (OSError, UnicodeDecodeError):
        return ""
    return pid if pid.isdigit() and (processes / pid).exists() else ""
