"""Pickles read as data: what celery writes is understood, and nothing in them is ever called."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import collections
import contextlib
import os
import pickle
import pickletools
import struct
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from habeat.migrate.sources.pickled import Call, Name, PickleError, data_of, path_of

PROTOCOLS = range(2, pickle.HIGHEST_PROTOCOL + 1)

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
values = st.recursive(
    scalars | st.binary(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner, inner, inner)
    ),
    max_leaves=20,
)


@given(values, st.sampled_from([4, 5]))
def test_plain_values_come_back_as_they_are(value: Any, protocol: int) -> None:
    assert data_of(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_shared_and_cyclic_values_come_back(protocol: int) -> None:
    shared = ["x"]
    value: list[Any] = [shared, shared, {"a": shared}, {1, 2}, frozenset([3])]
    value.append(value)
    found = data_of(pickle.dumps(value, protocol))
    assert found[0] is found[1] is found[2]["a"]
    assert found[5] is found


class Trap:
    """Unpickling it would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_nothing_is_called(tmp_path: Path, protocol: int) -> None:
    trap = Trap(tmp_path / "trap")
    found = data_of(pickle.dumps({"a": trap, "b": 1}, protocol))
    assert not trap.path.exists()
    assert found["b"] == 1
    assert isinstance(found["a"], Call)
    assert found["a"].path in ("posix.mkdir", "nt.mkdir")


class Watched:
    touched = False

    def __setstate__(self, state: object) -> None:
        Watched.touched = True


def test_no_class_is_built_and_no_state_is_given() -> None:
    watched = Watched()
    watched.x = 1  # type: ignore[attr-defined]
    found = data_of(pickle.dumps(watched))
    assert Watched.touched is False
    assert isinstance(found, Call)
    assert found.state == {"x": 1}


def test_nothing_is_imported() -> None:
    text = b"\x80\x04\x8c\x14antigravity_of_tests\x8c\x01x\x93."
    assert isinstance(data_of(text), Name)


def test_classes_with_contents_of_their_own_do_not_matter() -> None:
    ordered = collections.OrderedDict(a=1)
    deque = collections.deque([1, 2])
    found = data_of(pickle.dumps({"o": ordered, "d": deque, "after": 3}))
    assert found["after"] == 3


@pytest.mark.parametrize("zone", [UTC, ZoneInfo("Europe/Berlin")])
def test_the_path_of_what_is_called_is_known(zone: Any) -> None:
    found = data_of(pickle.dumps(datetime(2026, 1, 2, tzinfo=zone)))
    assert found.path == "datetime.datetime"
    assert found.args[1].path in ("datetime.timezone", "zoneinfo.ZoneInfo._unpickle")


def test_the_path_of_anything_else_is_empty() -> None:
    assert path_of(Call(Name("builtins", "getattr"), (1, "x"))) == ""
    assert path_of(Call(Name("builtins", "getattr"), ())) == ""
    assert path_of(7) == ""


def test_calls_of_calls_have_no_path() -> None:
    """Following them would exceed Python's depth of calls."""
    chain = b"\x80\x02cbuiltins\ngetattr\n" + b")R" * 20_000 + b"."
    assert data_of(chain).path == ""


HOSTILE = {
    "empty": b"",
    "cut off": pickle.dumps([1, 2, 3])[:-3],
    "no pickle": b"hello",
    "too few values": b"\x80\x04\x86.",
    "a mark that is missing": b"\x80\x04t.",
    "nothing to return": b"\x80\x04.",
    "an unknown memo": b"\x80\x04h\x07.",
    "a persistent id": b"\x80\x02Pfoo\nK\x01.",
    "an extension": b"\x80\x02\x82\x01.",
    "a buffer": b"\x80\x05\x97.",
    "a text that claims four gigabytes": b"\x80\x04X\xff\xff\xff\xff.",
    "setitem without pairs": b"\x80\x04}(K\x01u.",
}


@pytest.mark.parametrize("raw", HOSTILE.values(), ids=list(HOSTILE))
def test_what_is_no_pickle_of_celerys_is_refused(raw: bytes) -> None:
    with pytest.raises(PickleError):
        data_of(raw)


def test_a_huge_memo_index_costs_nothing() -> None:
    raw = b"\x80\x02K\x01r" + struct.pack("<I", 0xFFFFFFFF) + b"."
    assert data_of(raw) == 1


def test_keys_that_could_not_be_hashed_are_left_out() -> None:
    deep = b"\x80\x04}(" + b")" + b"\x85" * 100_000 + b"K\x01" + b"\x8c\x01aK\x02u."
    pickletools.genops(deep)
    assert data_of(deep) == {"a": 2}


def test_the_number_of_operations_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("habeat.migrate.sources.pickled.OPERATIONS_MOST", 100)
    with pytest.raises(PickleError, match="more than 100"):
        data_of(b"\x80\x04" + b"N0" * 100 + b"N.")


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    with contextlib.suppress(PickleError):
        data_of(b"\x80\x04" + raw)
