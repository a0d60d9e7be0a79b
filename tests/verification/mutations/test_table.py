"""The table of devices matches the source. `make mutations` finds out whether each is missed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests import ROOT
from tests.support.cases import for_every
from tests.verification.mutations import page, suites
from tests.verification.mutations.device import Device
from tests.verification.mutations.devices import DEVICES

SUITES = sorted(
    {suite for d in DEVICES if not d.suite.startswith("simulate ") for suite in d.suite.split()}
)


@for_every(DEVICES, lambda device: device.name)
def test_the_device_stands_in_its_file_exactly_once(device: Device) -> None:
    whole = (ROOT / "src/habeat" / device.file).read_text("utf-8")
    assert whole.count(device.old) == 1, (
        f"tests/verification/mutations must follow src: {device.name}"
    )
    assert device.new != device.old


@for_every(SUITES)
def test_the_suite_is_there(suite: str) -> None:
    assert (ROOT / suite.partition("::")[0]).exists()


def test_each_device_has_a_name_of_its_own() -> None:
    names = Counter(device.name for device in DEVICES)
    assert names.most_common(1)[0][1] == 1


def test_every_script_that_writes_has_a_device() -> None:
    shared = {"common.lua", "leadership.lua"}
    reads_only = {"count.lua", "health.lua", "names.lua", "observe.lua", "read.lua", "samehost.lua"}
    scripts = {path.name for path in (ROOT / "src/habeat/store/scripts").glob("*.lua")}
    with_device = {Path(device.file).name for device in DEVICES}
    assert scripts - reads_only - shared <= with_device


KEEPING = [device for device in DEVICES if device.keeps]


@for_every(KEEPING, lambda device: device.name)
def test_two_kinds_of_suites_catch_what_keeps_a_promise(device: Device) -> None:
    kinds = suites.kinds(device, DEVICES, suites.read())
    wanted = 1 if device.name in suites.ALONE else 2
    problem = f"caught by {kinds} only: write a second test, then record it with --suites"
    assert len(kinds) >= 2 or wanted == 1, problem
    assert len(kinds) == 1 or wanted == 2, f"{device.name} is not alone any more"


def test_what_was_found_out_is_of_devices_suites_and_tests_that_are_there() -> None:
    names = {device.name for device in DEVICES}
    for name, by in suites.read().items():
        assert name in names
        assert set(by) <= set(suites.SUITES)
        files = [test.partition("::")[0] for test in by.values() if test.startswith("tests/")]
        assert all((ROOT / file).exists() for file in files), name
    assert set(suites.ALONE) <= {device.name for device in KEEPING}


def test_the_page_is_the_table() -> None:
    assert page.PATH.read_text("utf-8") == page.text(), (
        "write it again: python -m tests.verification.mutations --write-docs"
    )
