"""Values that other programs may have written in place of ours."""

from __future__ import annotations

import json
from typing import Any

from habeat.core.entry import Entry
from habeat.core.request import Request
from habeat.entries.codec import encode, encode_request
from habeat.entries.fields import DEFINITION
from habeat.schedules import every

#: An argument, which no log line, error or listing of problems may repeat.
SECRET = "s3cret-argument"

RAW: tuple[bytes, ...] = (
    b"", b" ", b"\0", b"\n", b"a\nb\nc\nd", b"|", b"||||", b"1|2|3|4|5", b"0", b"-1", b"1.5",
    b"1e18", b"1e999", b"nan", b"inf", b"-inf", b"9" * 20, b"9" * 5_000, b"-" + b"9" * 5_000,
    b"null", b"true", b"[]", b"{}", b'""', b'"text"', b"{garbled", b"[" * 10_000, b'{"a":' * 10_000,
    b"NaN", b"\xff\xfe", b"\xc3(", b'"\\ud800"', b"\x1b[2J", b"\xe2\x80\xae", b'{"v": 1}',
    b'{"v": 2}', b'{"v": "1"}', b'{"v": 1e400}', b'{"v": ' + b"9" * 5_000 + b"}", b"x" * 100_000,
    "\u0663".encode(), b"0x10", b"+5",
)  # fmt: skip

#: What may stand in a field of a JSON record.
JSON: tuple[Any, ...] = (
    None, True, -1, 0, 0.5, 1e300, 10**18, 2**70, "", "x", "\ud800", "a\nb", [], [[]], {},
    {"a": SECRET},
    {"__type__": "decimal", "__value__": SECRET}, {"__type__": SECRET, "__value__": 1},
    {"__type__": "datetime", "__value__": SECRET}, {"__type__": [], "__value__": 1},
)  # fmt: skip

NAMES: tuple[bytes, ...] = (
    b"", b"\xff", b"a\x80b", b"\xed\xa0\x80", b"h\0l", b"line\nforged", b"\x1b[2J", b"@",
    b"a@1#2", b":", b"v:1#r", b"x" * 5_000, "\u202ertl".encode(),
)  # fmt: skip

SCORES = (
    "inf",
    "-inf",
    "1e18",
    "-1e18",
    "17.5",
    "-3",
    "1e15",
    "9007199254740993",
    "1e300",
    "0.001",
)


def definition(name: str = "h", every_s: float = 1) -> dict[str, Any]:
    """A sane definition, as JSON."""
    entry = Entry(name, "proj.tick", every(every_s).bound(name, "UTC"))
    found: dict[str, Any] = json.loads(encode(entry))
    return found


def definitions() -> list[bytes]:
    """Each hostile value by itself, and at each field of a definition."""
    plain = definition()
    fields = sorted({*DEFINITION, *plain})
    return [*RAW, *(_written({**plain, field: value}) for field in fields for value in JSON)]


def requests(entry: str) -> list[bytes]:
    """The same of a request."""
    plain = json.loads(encode_request(Request("backfill", entry, 5, end_ms=9)))
    changed = [{**plain, field: value} for field in plain for value in JSON]
    paced = [_written({**plain, "pace": 1}).replace(b'"pace": 1', b'"pace": ' + pace)
             for pace in (b"1e18", b"NaN", b"Infinity", b"-1", b"0", b"1e-300")]  # fmt: skip
    return [*RAW, *map(_written, changed), *paced]


def replicas() -> list[bytes]:
    """The same for a replica's own record."""
    plain = dict.fromkeys(("host", "role", "inert", "dispatch", "config", "habeat", "tzdata"), "x")
    numbers = (
        "pid",
        "since_ms",
        "skew_ms",
        "declared",
        "broker_ok_ms",
        "clashes",
        "unstorable",
        "unregistered",
        "unregistered_count",
    )
    fields = (*plain, *numbers)
    return [*RAW, *(_written({**plain, field: value}) for field in fields for value in JSON)]


def _written(data: Any) -> bytes:
    return json.dumps(data).encode()
