"""Which Redis to use: `habeat_redis_url`, or else the broker if that is a Redis.

The state lives in exactly one Redis: one server, or one group of Sentinels. kombu accepts a list
of brokers and moves on to the next when one fails; a scheduler that did so would lose its state.
So a list is refused unless it names Sentinels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from habeat.config.names import Conf
from habeat.config.table import BY_NAME
from habeat.errors import SettingsError

SCHEMES = ("redis", "rediss", "valkey", "valkeys", "unix", "redis+socket", "sentinel")
# kombu calls unix:// redis+socket://, and does not know valkey://.
BROKER_SCHEMES = ("redis", "rediss", "redis+socket", "sentinel")

_NAME = "habeat_redis_url"
#: Celery's older settings: they fill in what the broker's URL leaves out.
_PARTS = ("broker_user", "broker_password", "broker_port", "broker_vhost")


@dataclass(frozen=True)
class RedisLocation:
    """A URL and its options, and for each whether it is the broker's.

    Options from the broker have kombu's names (`broker_transport_options`, and
    `broker_use_ssl` under "ssl"); many of them do not concern this connection.
    """

    url: str
    options: Mapping[str, object]
    from_broker: bool
    options_from_broker: bool


def redis_location(conf: Conf) -> RedisLocation:
    """The Redis that a configuration names; SettingsError if there is none."""
    url = BY_NAME[_NAME].read(conf.get(_NAME))
    own: Any = BY_NAME["habeat_redis_options"].read(conf.get("habeat_redis_options"))
    if url is not None:
        one_url = _one_server(_NAME, str(url), SCHEMES)
        return RedisLocation(one_url, own or MappingProxyType({}), False, False)
    one_url = _one_server("broker_url", _broker(conf), BROKER_SCHEMES)
    options = _broker_options(conf) if own is None else own
    return RedisLocation(one_url, options, True, own is None)


def broker_is_redis(conf: Conf) -> bool:
    """Whether every broker that messages may be written to is a Redis."""
    return all(_scheme(url) in BROKER_SCHEMES for url in _split(_broker(conf)))


def _broker(conf: Conf) -> str:
    """The broker that beat writes to, its URLs joined by ";"; Celery's default if none is set."""
    # app.conf.broker_write_url respects CELERY_BROKER_URL, which `celery -b` sets; get() does not.
    url: Any = getattr(conf, "broker_write_url", None)
    url = url or conf.get("broker_write_url") or conf.get("broker_url") or conf.get("broker_host")
    urls = map(str, url) if isinstance(url, list | tuple) else _split(str(url or "amqp://"))
    return ";".join(_completed(each, conf) for each in urls)


def _completed(url: str, conf: Conf) -> str:
    """The URL with what it leaves out taken from `broker_transport`, `broker_user` and so on."""
    transport = str(conf.get("broker_transport") or "")
    if "://" not in url and transport in BROKER_SCHEMES:
        url = f"{transport}://{url}"
    if _scheme(url) not in ("redis", "rediss", "sentinel") or not any(map(conf.get, _PARTS)):
        return url
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # the user's mistake, which `store.urls.parse_url` reports
        return url
    user, password, own_port, database = (str(conf.get(name) or "") for name in _PARTS)
    user = parts.username or quote(user, safe="")
    password = parts.password or quote(password, safe="")
    server = parts.netloc.rpartition("@")[2]
    if port is None and own_port:
        server = f"{server}:{own_port}"
    login = f"{user}:{password}@" if password else (f"{user}@" if user else "")
    path = parts.path if parts.path.strip("/") else f"/{database.strip('/')}"
    return urlunsplit((parts.scheme, login + server, path, parts.query, parts.fragment))


def _broker_options(conf: Conf) -> Mapping[str, object]:
    options = dict(conf.get("broker_transport_options") or {})
    ssl = conf.get("broker_use_ssl")
    if ssl:
        options["ssl"] = ssl
    return MappingProxyType(options)


def _one_server(source: str, text: str, schemes: tuple[str, ...]) -> str:
    urls = list(dict.fromkeys(_split(text)))
    kinds = {_scheme(url) for url in urls}
    if not kinds <= set(schemes):
        raise _no_redis(source, sorted(kinds - set(schemes))[0])
    # A second server would be a second, empty state; several Sentinels name one server.
    if len(urls) > 1 and kinds != {"sentinel"}:
        raise SettingsError(
            _NAME,
            f"{source} names {len(urls)} servers, but the schedule lives in one Redis: "
            f"set {_NAME} to that one",
        )
    return ";".join(urls)


def _no_redis(source: str, kind: str) -> SettingsError:
    known = ", ".join(f"{scheme}://" for scheme in SCHEMES)
    if source == _NAME:
        shown = f"{kind}://" if kind else "without a scheme"
        return SettingsError(
            _NAME, f"invalid {_NAME} ({shown}): expected a URL that begins with one of {known}"
        )
    shown = f"{kind}://" if kind else "not a URL"
    return SettingsError(
        _NAME,
        f"habeat has no Redis: the broker is {shown} and {_NAME} is not set; "
        f"set it to a URL that begins with one of {known}",
    )


def _split(text: str) -> list[str]:
    return [url.strip() for url in text.split(";") if url.strip()]


def _scheme(url: str) -> str:
    """The scheme of a URL in lower case, and never more of it: the rest may contain a password."""
    before, mark, _ = url.partition("://")
    return before.lower() if mark else ""
