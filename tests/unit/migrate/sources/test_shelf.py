"""The file of celery's own beat, as celery or another program may write it."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import dbm.dumb
import os
import pickle
import shelve
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from celery import Celery
from celery.beat import PersistentScheduler, ScheduleEntry
from celery.schedules import crontab, schedule, solar

from habeat.migrate.found import Living, Reading, SourceUnreadable
from habeat.migrate.sources import shelf

LAST = datetime(2026, 11, 28, 3, 0, 0, 123_456, UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "celerybeat-schedule"


def entry(name: str = "nightly", at: Any = LAST, count: Any = 41, **more: Any) -> ScheduleEntry:
    made = ScheduleEntry(
        name, "proj.work", last_run_at=LAST, total_run_count=1, schedule=schedule(60), **more
    )
    made.last_run_at, made.total_run_count = at, count
    return made


def write(path: Path, *entries: Any, raw: bytes | None = None) -> None:
    """The file in the flavour that every Python has."""
    found = {getattr(each, "name", "odd"): each for each in entries}
    with dbm.dumb.open(str(path), "c") as opened:
        opened[b"entries"] = pickle.dumps(found) if raw is None else raw
        opened[b"__version__"] = pickle.dumps("5.7.0")


def read(path: Path, *declared: str) -> Reading:
    return shelf.read(path, declared or ("nightly",))


def test_what_celerys_beat_wrote_is_read(path: Path) -> None:
    app = Celery("proj", broker="memory://", set_as_current=False)
    app.conf.timezone = "Europe/Berlin"
    app.conf.beat_schedule = {
        "nightly": {"task": "proj.work", "schedule": crontab(hour=3), "kwargs": {"a": [1]}},
        "dawn": {"task": "proj.work", "schedule": solar("sunrise", 52.5, 13.4)},
        "often": {"task": "proj.work", "schedule": timedelta(seconds=5), "options": {"queue": "q"}},
    }
    beat = PersistentScheduler(app, schedule_filename=str(path))
    beat.schedule["often"].last_run_at = LAST.astimezone(ZoneInfo("Europe/Berlin"))
    beat.schedule["often"].total_run_count = 7
    before = {name: each.last_run_at for name, each in beat.schedule.items()}
    beat.close()
    found = read(path, "nightly", "dawn", "often", "celery.backend_cleanup")
    assert found.uncarried == []
    assert {each.name: each.last_run_at for each in found.entries} == before
    often = next(each for each in found.entries if each.name == "often")
    assert (often.total_run_count, often.declared) == (7, True)
    assert "--sent-until" in found.hint


@pytest.mark.parametrize(
    "zone",
    [UTC, ZoneInfo("Asia/Kathmandu"), timezone(timedelta(hours=-3, minutes=-30))],
    ids=str,
)
def test_a_last_run_in_any_zone_is_read(path: Path, zone: Any) -> None:
    write(path, entry(at=LAST.astimezone(zone)))
    assert read(path).entries[0].last_run_at == LAST


def test_a_last_run_without_a_zone_is_utc_as_for_celery(path: Path) -> None:
    write(path, entry(at=LAST.replace(tzinfo=None)))
    assert read(path).entries[0].last_run_at == LAST


def test_the_second_pass_of_a_repeated_hour_stays_the_second(path: Path) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    at = datetime(2026, 10, 25, 2, 30, tzinfo=berlin, fold=1)
    write(path, entry(at=at))
    assert read(path).entries[0].last_run_at == at.astimezone(UTC)


def test_celerys_local_zone_is_this_hosts(path: Path) -> None:
    from celery.utils.time import LocalTimezone

    at = LAST.astimezone(LocalTimezone())
    write(path, entry(at=at))
    assert read(path).entries[0].last_run_at == LAST


def test_pytz_is_read_if_celery_used_it(path: Path) -> None:
    pytz = pytest.importorskip("pytz")
    for zone in (pytz.utc, pytz.timezone("Europe/Berlin")):
        write(path, entry(at=LAST.astimezone(zone)))
        assert read(path).entries[0].last_run_at == LAST


class Options:
    """A value of the project's, which cannot be imported where the file is read."""


def test_values_of_the_project_do_not_matter(path: Path) -> None:
    write(path, entry(args=(Options(),), options={"queue": Options()}))
    assert read(path).entries[0].total_run_count == 41


def test_an_entry_that_this_code_does_not_declare_is_dropped_as_beat_would(path: Path) -> None:
    write(path, entry(), entry("former"))
    found = read(path)
    assert [each.name for each in found.entries] == ["nightly"]
    assert [(each.name, each.dropped) for each in found.uncarried] == [("former", True)]


@pytest.mark.parametrize(
    ("odd", "why"),
    [
        (7, "not an entry"),
        (entry("other"), "not an entry"),
        (entry("odd", at="yesterday"), "not a datetime"),
        (entry("odd", at=Options()), "not a datetime"),
        (entry("odd", count=-1), "number of runs"),
        (entry("odd", count="9"), "number of runs"),
    ],
)
def test_one_entry_that_cannot_be_read_stops_no_other(path: Path, odd: Any, why: str) -> None:
    found = {"nightly": entry(), "odd": odd}
    write(path, raw=pickle.dumps(found))
    got = read(path, "nightly", "odd")
    assert [each.name for each in got.entries] == ["nightly"]
    assert [each.name for each in got.uncarried] == ["odd"]
    assert why in got.uncarried[0].why


def test_nothing_in_the_file_is_called(path: Path, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "trap"),)

    write(path, raw=pickle.dumps({"nightly": entry(), "trap": Trap()}))
    assert [each.name for each in read(path).entries] == ["nightly"]
    assert not (tmp_path / "trap").exists()


# -- files ------------------------------------------------------------------------------------


def test_the_flavour_of_newer_pythons_is_read(path: Path) -> None:
    with sqlite3.connect(path) as opened:
        opened.execute("CREATE TABLE Dict (key BLOB UNIQUE NOT NULL, value BLOB NOT NULL)")
        row = (b"entries", pickle.dumps({"nightly": entry()}))
        opened.execute("INSERT INTO Dict VALUES (?, ?)", row)
    opened.close()
    assert read(path).entries[0].total_run_count == 41


@pytest.mark.parametrize("kind", ["dbm.gnu", "dbm.ndbm"])
def test_the_other_flavours_are_read_where_python_has_them(path: Path, kind: str) -> None:
    flavour = pytest.importorskip(kind)
    with flavour.open(str(path), "c") as opened:
        opened[b"entries"] = pickle.dumps({"nightly": entry()})
    assert read(path).entries[0].total_run_count == 41


def test_a_flavour_that_this_python_lacks_is_named(path: Path) -> None:
    try:
        import dbm.gnu  # noqa: F401
    except ImportError:
        path.write_bytes((0x13579ACF).to_bytes(4, sys.byteorder) + b"\0" * 60)
        with pytest.raises(SourceUnreadable, match="with the Python that ran celery beat"):
            read(path)
    else:
        pytest.skip("this Python has dbm.gnu")


@pytest.mark.parametrize(
    "index", ["'entries', (0, 99999999999999)", "'entries', ('a', 5)", "'e', " + "-" * 100_000]
)
def test_an_index_that_lies_is_an_error(path: Path, index: str) -> None:
    path.with_name(f"{path.name}.dat").write_bytes(b"x")
    path.with_name(f"{path.name}.dir").write_text(f"{index}\n")
    with pytest.raises(SourceUnreadable, match="cannot be read"):
        read(path)


@pytest.mark.parametrize("value", ["abc", 10**15, None])
def test_a_table_with_other_values_is_an_error(path: Path, value: Any) -> None:
    with sqlite3.connect(path) as opened:
        opened.execute("CREATE TABLE Dict (key, value)")
        opened.execute("INSERT INTO Dict VALUES (?, ?)", (b"entries", value))
    with pytest.raises(SourceUnreadable, match="no entries"):
        read(path)


def test_a_name_that_no_file_can_have_is_an_error() -> None:
    with pytest.raises(SourceUnreadable, match="cannot be read"):
        read(Path("a" * 300))


def test_keys_that_are_no_names_stop_no_entry(path: Path) -> None:
    found = {"nightly": entry(), 1: entry(), 2: Options(), 10**5_000: 3}
    write(path, raw=pickle.dumps(found))
    read_now = read(path)
    assert [each.name for each in read_now.entries] == ["nightly"]
    assert {each.name for each in read_now.uncarried} == {"a key that is an int"}


@pytest.mark.parametrize("args", [b"K\x05", b"N", b")", b"}"])
def test_a_last_run_of_another_form_stops_no_entry(path: Path, args: bytes) -> None:
    odd = b"ccelery.beat\nScheduleEntry\n(X\x03\x00\x00\x00oddNcdatetime\ndatetime\n"
    odd += args + b"RK\x01tR"
    good = pickle.dumps(entry(), 3)[2:-1]
    raw = b"\x80\x03}(X\x07\x00\x00\x00nightly" + good + b"X\x03\x00\x00\x00odd" + odd + b"u."
    write(path, raw=raw)
    found = read(path)
    assert [each.name for each in found.entries] == ["nightly"]
    assert [(each.name, each.why[:21]) for each in found.uncarried] == [
        ("odd", "its last run is not a")
    ]


@pytest.mark.parametrize(
    ("contents", "why"),
    [(b"", "cannot be read"), (b"hello", "cannot be read"), (b"SQLite format 3\0", "cannot be")],
)
def test_another_file_is_an_error(path: Path, contents: bytes, why: str) -> None:
    path.write_bytes(contents)
    with pytest.raises(SourceUnreadable, match=why):
        read(path)


def test_a_missing_file_is_an_error(path: Path) -> None:
    with pytest.raises(SourceUnreadable, match="--schedule"):
        read(path)


@pytest.mark.parametrize("raw", [b"", b"x", pickle.dumps([1])])
def test_other_contents_are_an_error(path: Path, raw: bytes) -> None:
    write(path, raw=raw)
    with pytest.raises(SourceUnreadable):
        read(path)


def test_a_file_of_another_shelf_is_an_error(path: Path) -> None:
    with shelve.open(str(path)) as opened:
        opened["x"] = 1
    with pytest.raises(SourceUnreadable, match="no entries"):
        read(path)


def test_a_huge_file_is_not_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, entry())
    monkeypatch.setattr(shelf, "BYTES_MOST", 10)
    with pytest.raises(SourceUnreadable, match="bytes"):
        read(path)


# -- is it alive? -----------------------------------------------------------------------------


def test_a_process_that_has_the_file_open_is_its_beat(path: Path) -> None:
    if not Path("/proc/self/fd").exists():
        pytest.skip("the system does not tell who has a file open")
    path.write_bytes(b"x")
    code = "import sys; f = open(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    found = shelf.living(path)
    holder.communicate(b"")
    assert (found.alive, str(holder.pid) in found.evidence) == (True, True)
    assert shelf.living(path) == Living(False)


@pytest.mark.parametrize(
    ("words", "alive"),
    [
        (("celery", "-A", "proj", "beat"), True),
        (("celery", "-A", "proj", "worker", "-B"), True),
        (("celery", "-A", "proj", "worker"), False),
        (("celery", "-A", "proj", "habeat", "list"), False),
    ],
)
def test_a_beat_in_the_files_folder_is_evidence(
    path: Path, tmp_path: Path, words: tuple[str, ...], alive: bool
) -> None:
    """A file of dbm.dumb's is not kept open."""
    if not Path("/proc/self/cmdline").exists():
        pytest.skip("the system does not tell what runs")
    write(path, entry())
    code = "import sys; print('up', flush=True); sys.stdin.read()"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for folder, expected in ((tmp_path, alive), (elsewhere, False)):
        beat = subprocess.Popen(
            [sys.executable, "-c", code, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=folder,
        )
        assert beat.stdout is not None
        beat.stdout.readline()
        found = shelf.living(path)
        beat.communicate(b"")
        assert (found.alive, str(beat.pid) in found.evidence) == (expected, expected)


def test_a_pidfile_of_a_process_that_runs_is_evidence(path: Path) -> None:
    pidfile = path.with_name("celerybeat.pid")
    for text, alive in ((str(os.getpid()), True), ("999999999", False), ("x", False)):
        pidfile.write_text(text)
        assert shelf.living(path).alive is alive


def test_without_proc_nothing_is_known(path: Path, tmp_path: Path) -> None:
    path.write_bytes(b"x")
    assert shelf.living(path, tmp_path / "none") == Living(False)
