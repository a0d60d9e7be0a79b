"""Where RedBeat keeps its entries, read off an app's configuration by RedBeat's own rules.

Its settings fall back to the broker's: `redbeat_redis_url` to `broker_url`, `redbeat_redis_options`
to `broker_transport_options`, and `redbeat_redis_use_ssl` to `broker_use_ssl`. Options of the
broker are used for Sentinels and for a Cluster only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from habeat.config.redis_target import OPTIONS_SETTING, RedisTarget, redis_target
from habeat.config.redis_urls import SETTING, parse_url
from habeat.errors import SettingsError

URL, OPTIONS, TLS = "redbeat_redis_url", "redbeat_redis_options", "redbeat_redis_use_ssl"


@dataclass(frozen=True, slots=True)
class RedBeatSettings:
    """RedBeat's Redis and its keys. `lock_key` is "" if it runs without."""

    target: RedisTarget
    key_prefix: str
    lock_key: str

    @property
    def schedule_key(self) -> str:
        return f"{self.key_prefix}:schedule"

    @property
    def statics_key(self) -> str:
        return f"{self.key_prefix}:statics"

    def __str__(self) -> str:
        return f"RedBeat at {self.target}, prefix {self.key_prefix}"


def settings_of(conf: Any) -> RedBeatSettings:
    """RedBeat's settings; SettingsError if they name no Redis that can be used."""
    prefix = str(_setting(conf, "redbeat_key_prefix", "redbeat:"))
    lock_key = str(_setting(conf, "redbeat_lock_key", f"{prefix}:lock") or "")
    if lock_key and not lock_key.startswith(prefix):
        lock_key = prefix + lock_key
    try:
        target = _target(conf)
    except SettingsError as error:
        text = str(error).replace(SETTING, URL).replace(OPTIONS_SETTING, OPTIONS)
        raise SettingsError(URL if error.setting == SETTING else OPTIONS, text) from None
    return RedBeatSettings(target, prefix, lock_key)


def _setting(conf: Any, name: str, default: Any) -> Any:
    found = conf.first(name, name.upper())
    return found if _is_set(conf, name) else found or default


def _is_set(conf: Any, name: str) -> bool:
    return any(isinstance(key, str) and key.lower() == name for key in conf.keys())  # noqa: SIM118


def _target(conf: Any) -> RedisTarget:
    url = _setting(conf, URL, conf.get("broker_url"))
    if not isinstance(url, str) or not url:
        raise SettingsError(SETTING, f"{SETTING} is not set, and broker_url names no Redis either")
    options = _setting(conf, OPTIONS, conf.get("broker_transport_options"))
    given = dict(options) if isinstance(options, Mapping) else {}
    tls = _setting(conf, TLS, conf.get("broker_use_ssl"))
    if given.get("cluster"):
        return redis_target(url, {**_own(given, url), "cluster": True}, strict=False)
    if url.startswith("redis-sentinel") and "sentinels" in given:
        return _sentinels(given, tls)
    if url.startswith("redis-cluster"):
        nodes = given.get("startup_nodes") or [{"host": "localhost", "port": 30001}]
        hosts = [(str(node["host"]), int(node["port"])) for node in nodes]
        own = {**_own(given, ""), "cluster": True}
        return redis_target(_url_of("redis", hosts, 0), own, strict=False)
    own = _own(given, url) if _is_set(conf, OPTIONS) else {}
    if url.startswith("rediss"):
        checks = {"ssl_cert_reqs": "required", **(tls if isinstance(tls, Mapping) else {})}
        own = {**_own(checks, url), **own}
    return redis_target(url, own, strict=False)


def _sentinels(given: Mapping[str, Any], tls: Any) -> RedisTarget:
    hosts = [(str(each[0]), int(each[1])) for each in given["sentinels"]]
    names = ("username", "password", "sentinel_kwargs", "credential_provider")
    options = {name: given[name] for name in names if given.get(name) is not None}
    options["master_name"] = given.get("service_name", "master")
    if isinstance(tls, Mapping):
        options["ssl"] = dict(tls)
    url = _url_of("sentinel", hosts, int(given.get("db") or 0))
    return redis_target(url, options, strict=False)


def _url_of(scheme: str, hosts: list[tuple[str, int]], db: int) -> str:
    named = (f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in hosts)
    return ";".join(f"{scheme}://{each}/{db}" for each in named)


def _own(given: Mapping[str, Any], url: str) -> dict[str, Any]:
    """The options without those that the URL has too: in redis-py, the URL's win."""
    in_url = parse_url(url).query if url else {}
    return {str(name): value for name, value in given.items() if name not in in_url}
