"""The host's time zone: by TZ, and by /etc/localtime as a link or as a copy."""

from __future__ import annotations

import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from habeat.config.from_app import timezone_of
from habeat.config.local_zone import local_zone_name
from habeat.errors import SettingsError

#: A database of three zones, two of them with the same content.
CONTENT = {"America/Sao_Paulo": b"TZif three", "Brazil/East": b"TZif three", "Asia/Tokyo": b"TZif9"}


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    (tmp_path / "etc").mkdir()
    return tmp_path / "etc"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    root = tmp_path / "share" / "zoneinfo"
    for name, content in CONTENT.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    (root / "zone1970.tab").write_text("# codes\nBR\t-2332-04637\tAmerica/Sao_Paulo\n")
    return root


def local(etc: Path, database: Path, tz: str | None = None) -> str:
    return local_zone_name({} if tz is None else {"TZ": tz}, etc, [database])


@pytest.mark.parametrize("tz", ["America/Sao_Paulo", ":America/Sao_Paulo"])
def test_tz_names_the_zone(etc: Path, database: Path, tz: str) -> None:
    (etc / "localtime").write_bytes(CONTENT["Asia/Tokyo"])
    assert local(etc, database, tz) == "America/Sao_Paulo"


def test_tz_may_name_a_file_of_the_database(etc: Path, database: Path) -> None:
    assert local(etc, database, f":{database}/Asia/Tokyo") == "Asia/Tokyo"


@pytest.mark.parametrize(
    ("tz", "offset"),
    [("<-03>3", "UTC-03:00"), ("IST-5:30", "UTC+05:30"), ("UTC0", "UTC"), ("XYZ+4", "UTC-04:00")],
)
def test_tz_may_be_an_offset(etc: Path, database: Path, tz: str, offset: str) -> None:
    assert local(etc, database, tz) == offset


@pytest.mark.parametrize("tz", ["Mars/Olympus", "CET-1CEST,M3.5.0,M10.5.0/3", "XYZ99"])
def test_a_tz_that_names_no_zone_is_an_error_that_says_what_to_set(
    etc: Path, database: Path, tz: str
) -> None:
    with pytest.raises(SettingsError, match="set timezone to the name of a zone") as caught:
        local(etc, database, tz)
    assert caught.value.setting == "timezone"


@pytest.mark.parametrize("below", ["", "posix", "right"])
def test_localtime_is_a_link(etc: Path, database: Path, below: str) -> None:
    (etc / "localtime").symlink_to(database / below / "Asia/Tokyo")
    assert local(etc, database) == "Asia/Tokyo"
    assert local(etc, database, tz="") == "Asia/Tokyo"


def test_localtime_is_a_copy_which_etc_timezone_names(etc: Path, database: Path) -> None:
    (etc / "localtime").write_bytes(CONTENT["Brazil/East"])
    (etc / "timezone").write_text("Brazil/East\n")
    assert local(etc, database) == "Brazil/East"


@pytest.mark.parametrize("written", [None, "Asia/Tokyo", "nonsense"])
def test_localtime_is_a_copy_that_only_its_content_identifies(
    etc: Path, database: Path, written: str | None
) -> None:
    """The C library does not read /etc/timezone, so one that disagrees is out of date."""
    (etc / "localtime").write_bytes(CONTENT["Brazil/East"])
    if written:
        (etc / "timezone").write_text(written)
    assert local(etc, database) == "America/Sao_Paulo"


def test_a_copy_of_no_known_zone_is_an_error_that_says_what_to_set(
    etc: Path, database: Path
) -> None:
    (etc / "localtime").write_bytes(b"TZif of a zone that is unknown")
    with pytest.raises(SettingsError, match="matches no zone") as caught:
        local(etc, database)
    assert "set timezone" in str(caught.value)


def test_a_host_without_localtime_is_on_utc_unless_etc_timezone_names_a_zone(
    etc: Path, database: Path
) -> None:
    assert local(etc, database) == "UTC"
    (etc / "timezone").write_text("Asia/Tokyo\n")
    assert local(etc, database) == "Asia/Tokyo"


def test_a_copy_of_a_real_file_is_found_in_the_real_database(etc: Path) -> None:
    content = (files("tzdata") / "zoneinfo" / "Asia" / "Tokyo").read_bytes()
    (etc / "localtime").write_bytes(content)
    assert local_zone_name({}, etc) in ("Asia/Tokyo", "Japan")


class Conf:
    timezone: str | None = None
    enable_utc = True


def test_the_zone_of_an_app() -> None:
    conf = Conf()
    assert timezone_of(conf) == "UTC"
    conf.timezone = "Asia/Tokyo"
    assert timezone_of(conf) == "Asia/Tokyo"


def test_a_process_takes_the_zone_of_its_environment() -> None:
    """Three hours lie between America/Sao_Paulo and UTC, which hosts without TZ here are on."""
    code = (
        "from celery import Celery\nfrom celery.schedules import crontab\n"
        "from habeat.beat.declared.beat_schedule import declare\n"
        "from habeat.client.location import location_of_app\n"
        "app = Celery('proj', broker='redis://nowhere')\napp.conf.enable_utc = False\n"
        "entry = {'task': 't', 'schedule': crontab(hour=3, minute=30)}\n"
        "print(declare(app, {'e': entry}).entries['e'].schedule.tz, location_of_app(app).timezone)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"TZ": "America/Sao_Paulo"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.split() == ["America/Sao_Paulo"] * 2
