"""Where the Redis is: `habeat_redis_url`, or else the broker if that is a Redis.

The state lives in exactly one Redis (one server, or one group of Sentinels). kombu takes a
list of brokers and moves on to the next when one fails; a scheduler that did so would start
again without its memory. So a list is refused unless it names Sentinels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from habeat.config.names import Conf
from habeat.config.table import BY_NAME
from habeat.errors import SettingsError

SCHEMES = ("redis", "rediss", "valkey", "valkeys", "unix", "redis+socket", "sentinel")
# kombu has no unix://, it calls the same thing redis+socket://; valkey:// it does not know
BROKER_SCHEMES = ("redis", "rediss", "redis+socket", "sentinel")

_NAME = "habeat_redis_url"


@dataclass(frozen=True)
class RedisLocation:
    """A URL and its options, and for each whether it is the broker's.

    Options from the broker are in kombu's words (`broker_transport_options`, and
    `broker_use_ssl` under "ssl"), and many of them are of no concern here.
    """

    url: str
    options: Mapping[str, object]
    from_broker: bool
    options_from_broker: bool


def redis_location(conf: Conf) -> RedisLocation:
    """Find the Redis in a configuration, or raise SettingsError."""
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
    """The broker that beat writes to, as one text; Celery's own default if none is named."""
    # The attributes of app.conf heed CELERY_BROKER_URL, and `celery -b`, which sets it; its
    # get() does neither.
    url: Any = getattr(conf, "broker_write_url", None)
    url = url or conf.get("broker_write_url") or conf.get("broker_url") or "amqp://"
    return ";".join(map(str, url)) if isinstance(url, list | tuple) else str(url)


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
    if len(urls) > 1 and kinds != {"sentinel"}:
        raise SettingsError(
            _NAME,
            f"{source} names {len(urls)} servers, and the schedule lives in one Redis: "
            f"name that one by {_NAME}",
        )
    return ";".join(urls)


def _no_redis(source: str, kind: str) -> SettingsError:
    known = ", ".join(f"{scheme}://" for scheme in SCHEMES)
    shown = f"{kind}://" if kind else "of no known kind"
    if source == _NAME:
        return SettingsError(_NAME, f"{_NAME} is {shown}: it must begin with one of {known}")
    return SettingsError(
        _NAME,
        f"there is no Redis to be found: the broker is {shown} and {_NAME} is not set; "
        f"set it to one that begins with {known}",
    )


def _split(text: str) -> list[str]:
    return [url.strip() for url in text.split(";") if url.strip()]


def _scheme(url: str) -> str:
    """What stands before ``://``, in lower case; never more of a URL, it may hold a password."""
    before, mark, _ = url.partition("://")
    return before.lower() if mark else ""
