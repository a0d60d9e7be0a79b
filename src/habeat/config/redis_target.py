"""How to reach the schedule's Redis: a URL and options, checked once and shown without secrets.

The options are redis-py's options of a connection, and a few of habeat's and kombu's:

- ``cluster``: True for a Redis Cluster;
- ``master_name``, ``sentinel_kwargs``, ``min_other_sentinels``: for ``sentinel://``;
- ``ssl``: True, or a mapping as in Celery's ``broker_use_ssl``, to speak TLS;
- ``credential_provider``: an object, a class, or the dotted path of one;
- ``username`` and ``password``: texts, or functions that return them.

They come from `habeat_redis_options`, where an unknown option is refused (`strict`), or from the
broker's transport options, most of which concern only kombu and are ignored. Timeouts and retries
cannot be set, because the trust in a lease depends on them.
"""

from __future__ import annotations

import importlib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from habeat.config.redis_urls import SETTING, Address, parse_url
from habeat.errors import SettingsError

OPTIONS_SETTING = "habeat_redis_options"

TLS_OPTIONS = frozenset(
    "ssl_" + name
    for name in (
        *("keyfile", "certfile", "password", "cert_reqs", "check_hostname", "min_version"),
        *("ca_certs", "ca_path", "ca_data", "ciphers", "include_verify_flags"),
        *("exclude_verify_flags", "validate_ocsp", "validate_ocsp_stapled", "ocsp_context"),
        "ocsp_expected_cert",
    )
)
_PLAIN = frozenset(
    ("username", "password", "client_name", "socket_keepalive", "socket_keepalive_options")
)
_STRUCTURE = frozenset(
    ("cluster", "master_name", "sentinel_kwargs", "min_other_sentinels", "credential_provider")
)
_KNOWN = TLS_OPTIONS | _PLAIN | _STRUCTURE
# Set by kombu by default; without retries it has no effect.
_PASSED_OVER = frozenset(("retry_on_timeout",))
_HABEATS_OWN = frozenset(
    (
        *("socket_timeout", "socket_connect_timeout", "retry", "retry_on_error", "protocol"),
        *("decode_responses", "encoding", "encoding_errors", "health_check_interval"),
        *("max_connections", "connection_pool", "connection_class", "redis_connect_func"),
    )
)
_CERT_REQS = ("none", "optional", "required")
_FALSE = ("0", "f", "false", "n", "no", "off")


@dataclass(frozen=True, repr=False)
class RedisTarget:
    """How to reach the schedule's Redis. `repr` and `str` never show a password.

    If not `strict`, the options are the broker's, read as kombu reads them: its
    `broker_transport_options`, and its `broker_use_ssl` under "ssl".
    """

    url: str
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    strict: bool = True

    @cached_property
    def address(self) -> Address:
        """The parsed URL. SettingsError if it is invalid."""
        return parse_url(self.url)

    @cached_property
    def checked_options(self) -> Mapping[str, Any]:
        """The options that habeat uses, from `options` and the URL's query; `options` win."""
        return _merged(self.address, self.options, self.strict)

    @property
    def db(self) -> int:
        return self.address.db

    @property
    def cluster(self) -> bool:
        return bool(self.checked_options.get("cluster", False))

    @property
    def tls(self) -> bool:
        return self.address.tls or bool(self.checked_options.get("ssl", False))

    def safe_url(self) -> str:
        """The URL with its password hidden: ``redis://user:**@host:6379/0``."""
        return self.address.safe_url()

    def __str__(self) -> str:
        try:
            return self.safe_url()
        except SettingsError:
            return "a Redis URL that cannot be read"

    def __repr__(self) -> str:
        return f"<RedisTarget {self}>"


def redis_target(
    url: str, options: Mapping[str, Any] | None = None, *, strict: bool = True
) -> RedisTarget:
    """Check a URL and its options. `strict` refuses options that habeat does not know.

    SettingsError for `habeat_redis_url` or `habeat_redis_options`.
    """
    given = dict(options or {})
    target = RedisTarget(url, given, strict)
    if strict:
        _refuse_unknown(given)
        _refuse_unused_tls(target)
    _check_together(target)
    return target


def _refuse_unknown(given: Mapping[str, Any]) -> None:
    nested = given.get("ssl")
    for name in (*given, *(nested if isinstance(nested, Mapping) else ())):
        if name in _HABEATS_OWN:
            raise _bad(f"{name!r} cannot be set, because habeat sets it itself: remove it")
        if name not in _KNOWN | _PASSED_OVER | {"ssl"}:
            raise _bad(
                f"unknown option {name!r}: expected one of {', '.join(sorted(_KNOWN | {'ssl'}))}"
            )


def _refuse_unused_tls(target: RedisTarget) -> None:
    """Without TLS, its options would be ignored, and nothing would be encrypted."""
    unused = sorted(TLS_OPTIONS & target.checked_options.keys())
    if unused and not target.tls:
        setting = SETTING if unused[0] in target.address.query else OPTIONS_SETTING
        advice = "use a rediss:// URL or set the option 'ssl' to True"
        raise SettingsError(
            setting, f"{setting}: {unused[0]!r} has no effect without TLS: {advice}"
        )


def _check_together(target: RedisTarget) -> None:
    address, options = target.address, target.checked_options
    if address.sentinel and not options.get("master_name"):
        raise _bad("a sentinel:// URL needs the option 'master_name'")
    if target.cluster and (address.sentinel or address.path):
        raise _bad("'cluster' needs a URL that begins with redis:// or rediss://")
    if target.cluster and address.db:
        raise SettingsError(
            SETTING, f"{SETTING} names database {address.db}, but a Cluster has only database 0"
        )
    if len(address.hosts) > 1 and not (address.sentinel or target.cluster):
        raise SettingsError(
            SETTING, f"{SETTING} names several servers: name only the one that habeat is to use"
        )


def _merged(address: Address, given: Mapping[str, Any], strict: bool) -> Mapping[str, Any]:
    nested = given.get("ssl")
    in_url = {name: value for name, value in address.query.items() if name in TLS_OPTIONS}
    if in_url and not strict:
        nested = in_url  # kombu speaks TLS then, by these options alone
    tls = dict(nested) if isinstance(nested, Mapping) else {}
    merged = {**address.query, **tls, **given}
    # None means "not set", except here: for kombu and redis-py it means "do not check".
    if "ssl_cert_reqs" in merged and merged["ssl_cert_reqs"] is None:
        merged["ssl_cert_reqs"] = "none"
    options = {name: value for name, value in merged.items() if name in _KNOWN}
    options = {name: value for name, value in options.items() if value is not None}
    if nested:
        options["ssl"] = True
    if not strict:
        _as_kombu(options, address)
    for name, value in (("username", address.username), ("password", address.password)):
        if value is not None:
            options.setdefault(name, value)
    return _typed(options)


def _as_kombu(options: dict[str, Any], address: Address) -> None:
    """Fill in the defaults of kombu: what Celery reaches with these options, habeat reaches too.

    Given ``rediss://`` and no TLS option at all, kombu does not check certificates.
    """
    if address.tls and "ssl" not in options:
        options.setdefault("ssl_cert_reqs", "none")
    if not _is_word(str(options.get("client_name", ""))):
        del options["client_name"]  # old releases of kombu do not pass it on


def _typed(options: dict[str, Any]) -> dict[str, Any]:
    if "ssl_cert_reqs" in options:
        options["ssl_cert_reqs"] = _cert_reqs(options["ssl_cert_reqs"])
    for name in ("ssl_check_hostname", "cluster", "socket_keepalive"):
        if isinstance(options.get(name), str):
            options[name] = options[name].lower() not in _FALSE
    if not _is_word(str(options.get("client_name", ""))):
        raise _bad("invalid 'client_name': expected printable ASCII characters without spaces")
    for name in ("sentinel_kwargs", "socket_keepalive_options"):
        if name in options and not isinstance(options[name], Mapping):
            raise _bad(f"invalid {name!r}: expected a dict, which a URL cannot hold: give it here")
    if "min_other_sentinels" in options:
        options["min_other_sentinels"] = _count(options["min_other_sentinels"])
    if "sentinel_kwargs" in options:
        theirs = _login(dict(options["sentinel_kwargs"]))
        if "ssl_cert_reqs" in theirs:
            theirs["ssl_cert_reqs"] = _cert_reqs(theirs["ssl_cert_reqs"])
        options["sentinel_kwargs"] = theirs
    return _login(options)


def _count(given: object) -> int:
    try:
        count = int(str(given))
    except ValueError:
        count = -1
    if count < 0:
        raise _bad("invalid 'min_other_sentinels': expected a whole number, 0 or more")
    return count


def _login(options: dict[str, Any]) -> dict[str, Any]:
    """The options with a provider in place of user name and password, if one of them may change."""
    login = options.get("username"), options.get("password")
    if "credential_provider" in options:
        options["credential_provider"] = _provider(options["credential_provider"])
    elif any(map(callable, login)):
        options["credential_provider"] = Functions(*login)
    else:
        return options
    return {name: value for name, value in options.items() if name not in ("username", "password")}


@dataclass(frozen=True, slots=True, repr=False)
class Functions:
    """A credential provider for a user name or a password that is a function, or both."""

    username: Any
    password: Any

    def get_credentials(self) -> tuple[str, ...]:
        """What redis-py logs in with: the password alone, or user name and password."""
        given = (self.username, self.password)
        user, password = (value() if callable(value) else value for value in given)
        return (user, password or "") if user else (password,)


def _is_word(name: str) -> bool:
    """Whether Redis takes this as the name of a connection: no spaces or control characters."""
    return all("!" <= character <= "~" for character in name)


def _cert_reqs(given: Any) -> str:
    """Normalize: ``CERT_REQUIRED``, ``required``, ``ssl.CERT_REQUIRED`` and 2 mean the same."""
    if isinstance(given, int):  # ssl.VerifyMode is an int
        text = ssl.VerifyMode(given).name if given in tuple(ssl.VerifyMode) else ""
    else:
        text = str(given)
    text = text.lower().removeprefix("cert_")
    if text not in _CERT_REQS:
        raise _bad(f"invalid 'ssl_cert_reqs' {given!r}: expected one of {', '.join(_CERT_REQS)}")
    return text


def _provider(given: Any) -> Any:
    found = _imported(given) if isinstance(given, str) else given
    made = found() if isinstance(found, type) else found
    if not callable(getattr(made, "get_credentials", None)):
        raise _bad(
            f"invalid 'credential_provider' of type {type(made).__name__}: expected an object with "
            "get_credentials()"
        )
    return made


def _imported(path: str) -> Any:
    module, _, name = path.replace(":", ".").rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise _bad(
            f"invalid 'credential_provider' {path!r}: expected a dotted path that can be imported"
        ) from error


def _bad(why: str) -> SettingsError:
    return SettingsError(OPTIONS_SETTING, f"{OPTIONS_SETTING}: {why}")
