"""The part of HTTP that probes and scrapers use: a GET or HEAD without a body, one per connection.

Pure. A request with a body, another method, or a head that cannot be read gets an error, and every
connection is closed after its answer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

#: The largest head of a request; a longer one is refused.
HEAD_MAX_BYTES = 8_192
END = b"\r\n\r\n"

_REASONS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    431: "Request Header Fields Too Large",
    501: "Not Implemented",
    503: "Service Unavailable",
}
_FIRST_LINE = re.compile(rb"([A-Z]{1,16}) ([!-~]{1,1024}) HTTP/1\.[01]")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\x00]*?)[ \t]*")


@dataclass(frozen=True, slots=True)
class Request:
    """A request whose head was read; header names are lower-case."""

    method: str
    path: str
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"


def plain(status: int, sentence: str) -> Answer:
    """An answer of one line."""
    return Answer(status, sentence.encode() + b"\n")


def parsed(head: bytes) -> Request | Answer:
    """The request with this head, without its end; the error to answer if it cannot be read."""
    first, *lines = head.split(b"\r\n")
    found = _FIRST_LINE.fullmatch(first)
    headers = [_HEADER.fullmatch(line) for line in lines]
    if found is None or not all(headers):
        return plain(400, "the request is not HTTP/1.1")
    method, target = found[1].decode(), found[2].decode()
    if method not in ("GET", "HEAD"):
        return plain(405, "only GET and HEAD are answered")
    read = {each[1].decode().lower(): each[2].decode("latin-1") for each in headers if each}
    return Request(method, target.partition("?")[0], read)


def written(answer: Answer, *, head_only: bool = False) -> bytes:
    """The bytes of an answer. They do not say which program or library sends them."""
    lines = [
        f"HTTP/1.1 {answer.status} {_REASONS[answer.status]}",
        f"Content-Type: {answer.content_type}",
        f"Content-Length: {len(answer.body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
    ]
    if answer.status == 405:
        lines.append("Allow: GET, HEAD")
    if answer.status == 401:
        lines.append("WWW-Authenticate: Bearer")
    head = "\r\n".join(lines).encode("latin-1") + END
    return head if head_only else head + answer.body
