"""Requests as bytes, and what is answered to those that are none."""

from __future__ import annotations

import pytest

from habeat.beat.http.message import Answer, Request, parsed, plain, written


def status_of(head: bytes) -> int:
    found = parsed(head)
    return found.status if isinstance(found, Answer) else 200


def test_a_request_has_a_path_without_its_query_and_headers_in_lower_case() -> None:
    found = parsed(b"GET /metrics?x=1 HTTP/1.1\r\nHost: a\r\nAuthorization:  Bearer t \r\nX:")
    assert found == Request("GET", "/metrics", {"host": "a", "authorization": "Bearer t", "x": ""})


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"", 400),
        (b"GET /", 400),
        (b"GET / HTTP/2", 400),
        (b"get / HTTP/1.1", 400),
        (b"GET  / HTTP/1.1", 400),
        (b"GET /\x00 HTTP/1.1", 400),
        (b"GET / HTTP/1.1\r\nno colon", 400),
        (b"GET / HTTP/1.1\r\n folded: x", 400),
        (b"GET / HTTP/1.1\r\nA: b\nC: d", 400),
        (b"\x16\x03\x01\x02\x00", 400),
        (b"POST / HTTP/1.1", 405),
        (b"CONNECT a:1 HTTP/1.1", 405),
        (b"HEAD / HTTP/1.0", 200),
    ],
)
def test_what_is_no_get_or_head_is_refused(head: bytes, status: int) -> None:
    assert status_of(head) == status


def test_an_answer_says_its_length_and_names_no_server() -> None:
    said = written(plain(200, "ok"))
    assert said.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nContent-Length: 3\r\n" in said
    assert said.endswith(b"\r\n\r\nok\n")
    assert b"Server:" not in said


def test_an_answer_to_head_has_no_body() -> None:
    assert written(plain(200, "ok"), head_only=True).endswith(b"Connection: close\r\n\r\n")


def test_who_may_not_read_learns_how_to() -> None:
    assert b"\r\nWWW-Authenticate: Bearer\r\n" in written(plain(401, "no"))
    assert b"\r\nAllow: GET, HEAD\r\n" in written(plain(405, "no"))
