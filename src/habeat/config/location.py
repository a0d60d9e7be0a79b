"""Which Redis to use: `habeat_redis_url`, or else the broker if that is a Redis.

The state lives in exactly one Redis: one server, or one group of Sentinels. kombu accepts a list
of brokers and moves on to the next when one fails; a scheduler that did so would lose its state.
So a list is refused unless it names Sentinels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from habeat.config.names import Conf
from habeat.config.redis_target import OPTIONS_SETTING, RedisTarget, redis_target
from habeat.config.redis_urls import BROKER_SCHEMES, KNOWN, SENTINEL, SETTING, UNIX, scheme_of
from habeat.config.table import BY_NAME
from habeat.errors import SettingsError

#: Celery's older settings: they fill in what the broker's URL leaves out.
_PARTS = ("broker_user", "broker_password", "broker_port", "broker_vhost")


def configured_redis(conf: Conf) -> RedisTarget:
    """The Redis that a configuration names; SettingsError if there is none or it is invalid."""
    url = BY_NAME[SETTING].read(conf.get(SETTING))
    own: Any = BY_NAME[OPTIONS_SETTING].read(conf.get(OPTIONS_SETTING))
    if url is not None:
        return redis_target(_one_server(SETTING, str(url)), own)
    foreign = sorted(set(map(scheme_of, _split(_broker(conf)))) - set(BROKER_SCHEMES))
    if foreign:
        raise _no_redis(foreign[0])
    one_url = _one_server("broker_url", _broker(conf))
    if own is not None:
        return redis_target(one_url, own)
    return redis_target(one_url, _broker_options(conf), strict=False)


def broker_is_redis(conf: Conf) -> bool:
    """Whether every broker that messages may be written to is a Redis."""
    return all(scheme_of(url) in BROKER_SCHEMES for url in _split(_broker(conf)))


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
    scheme = scheme_of(url)
    if scheme not in BROKER_SCHEMES or scheme in UNIX or not any(map(conf.get, _PARTS)):
        return url
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # the user's mistake, which `redis_urls.parse_url` reports
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
    return options


def _one_server(source: str, text: str) -> str:
    urls = list(dict.fromkeys(_split(text)))
    # A second server would be a second, empty state; several Sentinels name one server.
    if len(urls) > 1 and scheme_of(urls[0]) != SENTINEL:
        raise SettingsError(
            SETTING,
            f"{source} names {len(urls)} servers, but the schedule lives in one Redis: "
            f"set {SETTING} to that one",
        )
    return ";".join(urls)


def _no_redis(kind: str) -> SettingsError:
    shown = f"{kind}://" if kind else "not a URL"
    return SettingsError(
        SETTING,
        f"habeat has no Redis: the broker is {shown} and {SETTING} is not set; "
        f"set it to a URL that begins with one of {KNOWN}",
    )


def _split(text: str) -> list[str]:
    return [url.strip() for url in text.split(";") if url.strip()]
