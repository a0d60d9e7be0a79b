"""The name of this host's time zone, which `enable_utc = False` without a `timezone` means.

A schedule is stored under the name of its zone, because other hosts have to compute the same slots.
So an offset alone will not do: it would lose summer time. The zone is found where the C library
finds it: in TZ, else in /etc/localtime, which is a link into the time zone database or a copy of
one of its files. Without either the host runs on UTC.
"""

from __future__ import annotations

import importlib.util
import os
import re
import zoneinfo
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta, timezone
from pathlib import Path

from habeat.errors import SettingsError, ValidationError
from habeat.schedules.zone import zone_named

_FIXED = re.compile(
    r"(?:<[^<>]+>|[A-Za-z]{3,})(?P<sign>[+-]?)(?P<hours>[01]?\d|2[0-3])(?::(?P<minutes>[0-5]\d))?"
)
_ADVICE = (
    "set timezone to the name of a zone, such as 'Europe/Berlin', or TZ in the environment; "
    "or set enable_utc = True"
)


def local_zone_name(
    environment: Mapping[str, str] = os.environ,
    etc: Path = Path("/etc"),
    database: Sequence[Path] | None = None,
) -> str:
    """The name of this host's zone; SettingsError if it has a zone without a name.

    `database` is the directories of the time zone database, by default those of `zoneinfo`.
    """
    roots = _database() if database is None else database
    given = environment.get("TZ", "").removeprefix(":")
    if given:
        return _of_variable(given, etc, roots)
    return _of_file(etc / "localtime", etc, roots)


def _database() -> list[Path]:
    """The directories of the host's database, then the one of the package tzdata."""
    package = importlib.util.find_spec("tzdata")
    more = [] if package is None or package.origin is None else [Path(package.origin).parent]
    return [*map(Path, zoneinfo.TZPATH), *(each / "zoneinfo" for each in more)]


def _of_variable(given: str, etc: Path, roots: Sequence[Path]) -> str:
    """The zone that TZ means: a name, a file, or an offset as in ``<-03>3``."""
    if given.startswith("/"):
        return _of_file(Path(given), etc, roots)
    if is_zone(given):
        return given
    fixed = _FIXED.fullmatch(given)
    if fixed is None:
        raise SettingsError(
            "timezone", f"enable_utc is False and TZ is {given!r}, which names no zone: {_ADVICE}"
        )
    # In TZ, hours west of Greenwich are positive.
    west = timedelta(hours=int(fixed["hours"]), minutes=int(fixed["minutes"] or 0))
    return str(timezone(west if fixed["sign"] == "-" else -west))


def _of_file(file: Path, etc: Path, roots: Sequence[Path]) -> str:
    """The zone of a file: by where it lies if that is the database, else by what it contains."""
    # A link says the name even where the database itself is missing.
    linked = below_the_database(file.resolve())
    if linked:
        return linked
    if not file.exists():
        return _written(etc) or "UTC"
    try:
        content = file.read_bytes()
    except OSError as error:
        raise _nameless(file) from error
    candidates = [_written(etc), *_names(content, roots)]
    for name in candidates:
        if name and content in _contents(name, roots):
            return name
    raise _nameless(file)


def below_the_database(file: str | Path) -> str:
    """The name of a file of the database, from its path; "" for any other file."""
    parts = Path(file).parts
    if "zoneinfo" not in parts:
        return ""
    inside = parts[parts.index("zoneinfo") + 1 :]
    if inside[:1] in (("posix",), ("right",)):  # the same names again
        inside = inside[1:]
    name = "/".join(inside)
    return name if is_zone(name) else ""


def _written(etc: Path) -> str:
    """The name in /etc/timezone, where Debian writes it; "" if there is none."""
    try:
        name = (etc / "timezone").read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
    return name if is_zone(name) else ""


def _names(content: bytes, roots: Sequence[Path]) -> list[str]:
    """The zones whose file has this content: those named after a place first."""
    names = {
        name
        for root in roots
        for name in zoneinfo.available_timezones()
        if _size(root / name) == len(content)
    }
    places = _places(roots)
    return sorted(names, key=lambda name: (name not in places, name))


def _places(roots: Sequence[Path]) -> set[str]:
    """The names that the database recommends; the others are kept for old configurations."""
    for root in roots:
        for table in ("zone1970.tab", "zone.tab"):
            try:
                lines = (root / table).read_text("utf-8").splitlines()
            except OSError:
                continue
            rows = [line.split("\t") for line in lines if not line.startswith("#")]
            return {row[2] for row in rows if len(row) > 2}
    return set()


def _contents(name: str, roots: Sequence[Path]) -> Iterator[bytes]:
    for root in roots:
        if (root / name).is_file():
            yield (root / name).read_bytes()


def _size(file: Path) -> int:
    return file.stat().st_size if file.is_file() else -1


def is_zone(name: str) -> bool:
    """Whether this is a zone's name, or a fixed offset."""
    try:
        zone_named(name)
    except ValidationError:
        return False
    return True


def _nameless(file: Path) -> SettingsError:
    return SettingsError(
        "timezone",
        f"enable_utc is False and {file} matches no zone of the time zone database, so this "
        f"host's time zone has no name: {_ADVICE}",
    )
