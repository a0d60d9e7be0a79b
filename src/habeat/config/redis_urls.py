"""Parses the URL of a Redis, in redis-py's and kombu's forms.

=====================================================  ======================================
``redis://[[user]:password@]host[:port][/db]``         ``valkey://`` means the same
``rediss://…?ssl_cert_reqs=required&ssl_ca_certs=…``   TLS; ``valkeys://`` means the same
``unix://[[user]:password@]/path?db=1``
``redis+socket:///path?virtual_host=1``                kombu's form of the line above
``sentinel://[[user]:password@]host[:26379][/db]``     more Sentinels may follow after ``;``;
                                                       the user is for Redis, not for Sentinel
=====================================================  ======================================

User, password, host and path are percent-decoded. Errors never quote a part of the URL that is a
password, or that might be one if the URL is malformed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from habeat.errors import SettingsError

SETTING = "habeat_redis_url"
_TCP = {"redis": False, "rediss": True, "valkey": False, "valkeys": True}
KOMBUS = "redis+socket"
UNIX = ("unix", KOMBUS)
SENTINEL = "sentinel"
SCHEMES = (*_TCP, *UNIX, SENTINEL)
#: Those that kombu knows. It calls unix:// redis+socket://.
BROKER_SCHEMES = ("redis", "rediss", KOMBUS, SENTINEL)
#: The schemes as an error lists them.
KNOWN = ", ".join(f"{scheme}://" for scheme in SCHEMES)
_IN_A_PASSWORD = "in a password, the characters / ? # % @ : ; must be percent-encoded"


@dataclass(frozen=True)
class Address:
    """A parsed URL. `hosts` are Sentinels if `sentinel`; with a `path` there are none."""

    scheme: str
    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    db: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def tls(self) -> bool:
        return _TCP.get(self.scheme, False)

    @property
    def sentinel(self) -> bool:
        return self.scheme == SENTINEL

    def safe_url(self) -> str:
        """The URL with its password hidden and without its query."""
        user = quote(self.username or "", safe="")
        secret = ":**" if self.password is not None else ""
        who = f"{user}{secret}@" if user or secret else ""
        if self.path:
            return f"{self.scheme}://{who}{quote(self.path)}?db={self.db}"
        first, *others = (_bracketed(host, port) for host, port in self.hosts)
        more = "".join(f";{self.scheme}://{other}/{self.db}" for other in others)
        return f"{self.scheme}://{who}{first}/{self.db}{more}"


def parse_url(url: str) -> Address:
    """Parse `url`. SettingsError, whose text shows no password, if it is invalid."""
    text = url.strip()
    scheme = scheme_of(text)
    if scheme not in SCHEMES:
        shown = f"{scheme}://" if scheme else "without a scheme"
        raise SettingsError(
            SETTING, f"invalid {SETTING} ({shown}): expected a URL that begins with one of {KNOWN}"
        )
    parts = [_split(each, scheme) for each in _several(text, scheme)]
    if scheme in UNIX:
        return _unix(parts[0], scheme)
    return _tcp(parts, scheme)


def scheme_of(url: str) -> str:
    """The scheme of a URL in lower case, and never more of it: the rest may contain a password."""
    before, mark, _ = url.partition("://")
    return before.strip().lower() if mark else ""


def _several(text: str, scheme: str) -> list[str]:
    """The URLs of a list; a part without a scheme takes the first one's."""
    if scheme in UNIX:
        return [text]  # a path may contain a semicolon
    parts = [part.strip() for part in text.split(";") if part.strip()]
    whole = [part if "://" in part else f"{scheme}://{part}" for part in parts]
    if any(scheme_of(part) != scheme for part in whole):
        raise _broken(scheme, f"is followed by URLs of another scheme; {_IN_A_PASSWORD}")
    return whole


def _split(text: str, scheme: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:  # its message may quote a part of the password
        raise _broken(scheme, f"has an invalid host or port; {_IN_A_PASSWORD}") from None
    if parts.fragment or ("@" in parts.path + parts.query and not parts.username):
        raise _broken(scheme, f"cannot be parsed; {_IN_A_PASSWORD}")
    return parts


def _unix(parts: SplitResult, scheme: str) -> Address:
    query = dict(parse_qsl(parts.query))
    path = unquote(parts.path)
    if parts.hostname or len(path) < 2:
        raise _broken(scheme, f"must name an absolute path: {scheme}:///path/to/socket?db=0")
    if scheme == KOMBUS and "db" in query:
        raise _broken(
            scheme,
            "names a database with ?db=, which Celery ignores: write ?virtual_host= instead, or "
            "remove it if the messages are in database 0",
        )
    db = _named_db(query) or "0"
    username, password = _credentials(parts, query)
    return Address(
        scheme=scheme,
        hosts=(),
        path=path,
        db=_number(db, scheme),
        username=username,
        password=password,
        query=query,
    )


def _tcp(parts: list[SplitResult], scheme: str) -> Address:
    query = {name: value for part in parts for name, value in parse_qsl(part.query)}
    paths = [db for part in parts if (db := unquote(part.path).strip("/"))]
    db = _named_db(query) or (paths or ["0"])[0]
    port = 26379 if scheme == SENTINEL else 6379
    hosts = tuple((unquote(part.hostname or "localhost"), part.port or port) for part in parts)
    named = next((part for part in parts if part.username or part.password), parts[0])
    username, password = _credentials(named, query)
    return Address(
        scheme=scheme,
        hosts=hosts,
        path="",
        db=_number(db, scheme),
        username=username,
        password=password,
        query=query,
    )


def _credentials(parts: SplitResult, query: dict[str, str]) -> tuple[str | None, str | None]:
    username = unquote(parts.username or "") or query.pop("username", "") or None
    password = unquote(parts.password or "") or query.pop("password", "") or None
    return username, password


def _named_db(query: dict[str, str]) -> str:
    kombus, redis_pys = query.pop("virtual_host", ""), query.pop("db", "")
    return kombus or redis_pys


def _number(db: str, scheme: str) -> int:
    text = db.strip("/")
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise _broken(scheme, "must end with a database number, as in /0")
    return int(text)


def _bracketed(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _broken(scheme: str, why: str) -> SettingsError:
    return SettingsError(SETTING, f"{SETTING}, a {scheme}:// URL, {why}")
