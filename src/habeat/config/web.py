"""Addresses of web services, as a user writes them: a webhook, its headers, URLs to ping."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import urlsplit

#: What happens to a slot, as far as a ping can tell.
MOMENTS = ("start", "success", "fail")
PINGS_MOST = 10_000
HEADERS_MOST = 50

_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\x20-\x7e]*")


@dataclass(frozen=True, slots=True, repr=False)
class WebUrl:
    """A URL of http or https. It can contain a secret, so it is shown without path and password."""

    url: str

    def __str__(self) -> str:
        parts = urlsplit(self.url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}/…"

    __repr__ = __str__

    def below(self, word: str) -> WebUrl:
        """The URL with one more word in its path; a query stays."""
        parts = urlsplit(self.url)
        return WebUrl(parts._replace(path=f"{parts.path.rstrip('/')}/{word}").geturl())


@dataclass(frozen=True, slots=True, repr=False)
class Headers:
    """Headers of a request, which can be secret."""

    values: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Headers({', '.join(self.values)})"


def web_url(written: object) -> WebUrl | None:
    """The URL that `written` stands for; None if it is not one."""
    if not isinstance(written, str) or not re.fullmatch(r"[\x21-\x7e]{1,2000}", written):
        return None
    try:
        parts = urlsplit(written)
        fine = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        return None
    return WebUrl(written) if fine and not parts.fragment else None


def headers(given: object) -> Headers | None:
    """Names and values of headers; None if one of them is not allowed."""
    if not isinstance(given, Mapping) or len(given) > HEADERS_MOST:
        return None
    for name, value in given.items():
        texts = isinstance(name, str) and isinstance(value, str)
        if not texts or not _HEADER.fullmatch(name) or not _VALUE.fullmatch(value):
            return None
    return Headers(MappingProxyType(dict(given)))


def pings(given: object) -> Mapping[str, Mapping[str, WebUrl]] | None:
    """By name of the entry, the URL for each moment; None if something is not allowed."""
    if not isinstance(given, Mapping) or len(given) > PINGS_MOST:
        return None
    found = {name: _moments(value) for name, value in given.items() if isinstance(name, str)}
    if len(found) != len(given):
        return None
    read = {name: moments for name, moments in found.items() if moments is not None}
    return MappingProxyType(read) if len(read) == len(given) else None


def _moments(value: object) -> Mapping[str, WebUrl] | None:
    """One URL stands for success, and with ``/fail`` for failure."""
    one = web_url(value)
    if one is not None:
        return {"success": one, "fail": one.below("fail")}
    if not isinstance(value, Mapping) or not value or not set(value) <= set(MOMENTS):
        return None
    found = {moment: web_url(url) for moment, url in value.items()}
    urls = {moment: url for moment, url in found.items() if url is not None}
    return urls if len(urls) == len(found) else None
