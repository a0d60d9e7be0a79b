"""The settings: what Celery's configuration becomes, and what is refused in a sentence."""

from __future__ import annotations

import dataclasses
import sys
import types
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from habeat.config import SETTINGS, Settings
from habeat.config.redis_target import RedisTarget
from habeat.errors import SettingsError

REDIS = {"broker_url": "redis://broker/3"}


def read(app_main: str | None = "proj", **conf: Any) -> Settings:
    return Settings.from_conf({**REDIS, **conf}, app_main=app_main)


def refused(app_main: str | None = "proj", **conf: Any) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        read(app_main, **conf)
    return caught.value


def of_app(app: Celery) -> Settings:
    return Settings.from_conf(app.conf, app_main=app.main)


@pytest.fixture(autouse=True)
def _no_broker_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CELERY_BROKER_URL", "CELERY_BROKER_WRITE_URL", "CELERY_BROKER_READ_URL"):
        monkeypatch.delenv(name, raising=False)


# --- values


def test_defaults_are_those_of_the_design() -> None:
    assert read() == Settings(
        redis=RedisTarget("redis://broker/3", strict=False),
        key_prefix="habeat:proj",
        lease_ttl_ms=6_000,
        crash_poll_ms=250,
        dedup_ttl_ms=300_000,
        dispatch="auto",
        delivery="at_least_once",
        misfire="latest",
        misfire_grace_ms=60_000,
        misfire_limit=1_000,
        misfire_window_ms=None,
        misfire_pace=50.0,
        remote_tasks=(),
        wait_redis_replicas=0,
        publish_timeout_ms=3_000,
        outbox_window=50,
        template=True,
        ledger_age_ms=86_400_000,
        ledger_length=1_000_000,
        changes_age_ms=7_776_000_000,
        changes_length=10_000,
        dead_age_ms=604_800_000,
        dead_length=10_000,
        definition_bytes=65_536,
        description_chars=2_000,
        reason_chars=500,
        tag_count=50,
        tag_chars=100,
        bulk_entries=10_000,
        error_chars=500,
        own_options=(),
        heartbeat_file=None,
        log_json=False,
        webhook_url=None,
        webhook_headers=None,
        pings={},
        http=None,
        http_token=None,
        metrics_entries=100,
        shadow=False,
        ignored_schedulers=(),
    )


def test_every_setting_has_a_field_and_every_field_a_setting() -> None:
    fields = {field.name for field in dataclasses.fields(Settings)}
    one_value = {"redis_url", "redis_options"}
    assert {row.attribute for row in SETTINGS} - one_value == fields - {"redis"}


def test_settings_are_frozen_and_keep_a_copy_of_the_options() -> None:
    given = {"client_name": "a"}
    settings = read(habeat_redis_options=given)
    given["client_name"] = "b"
    assert settings.redis.options["client_name"] == "a"
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.lease_ttl_ms = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("given", "expected_ms"),
    [(2, 2000), (2.5, 2500), (timedelta(minutes=1), 60_000), (1.0004, 1000), (None, 6000)],
)
def test_durations_are_seconds_or_timedeltas(given: object, expected_ms: int) -> None:
    assert read(habeat_lease_ttl=given).lease_ttl_ms == expected_ms


def test_every_other_value_is_taken_as_given(tmp_path: Path) -> None:
    settings = read(
        habeat_key_prefix="beats:one",
        habeat_crash_poll=0,
        habeat_dedup_ttl=6,
        habeat_dispatch="outbox",
        habeat_delivery="at_most_once",
        habeat_misfire="all",
        habeat_misfire_grace=0,
        habeat_misfire_limit=1,
        habeat_misfire_window=timedelta(days=1),
        habeat_misfire_pace=0.5,
        habeat_remote_tasks=["mail.send", "billing.*"],
        habeat_wait_redis_replicas=2,
        habeat_publish_timeout=0.5,
        habeat_ledger_age=timedelta(hours=1),
        habeat_ledger_length=10,
        habeat_heartbeat_file=tmp_path / "beat",
    )
    assert settings.key_prefix == "beats:one"
    assert (settings.crash_poll_ms, settings.dedup_ttl_ms) == (0, 6_000)
    assert (settings.dispatch, settings.delivery) == ("outbox", "at_most_once")
    assert (settings.misfire, settings.misfire_grace_ms, settings.misfire_limit) == ("all", 0, 1)
    assert (settings.misfire_window_ms, settings.misfire_pace) == (86_400_000, 0.5)
    assert settings.remote_tasks == ("billing.*", "mail.send")
    assert (settings.wait_redis_replicas, settings.publish_timeout_ms) == (2, 500)
    assert (settings.ledger_age_ms, settings.ledger_length) == (3_600_000, 10)
    assert settings.heartbeat_file == str(tmp_path / "beat")


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("habeat_lease_ttl", 0),
        ("habeat_lease_ttl", -1),
        ("habeat_lease_ttl", 0.999),
        ("habeat_lease_ttl", timedelta(milliseconds=10)),
        ("habeat_lease_ttl", "6"),
        ("habeat_lease_ttl", True),
        ("habeat_lease_ttl", float("nan")),
        ("habeat_lease_ttl", float("inf")),
        ("habeat_lease_ttl", 1e12),
        ("habeat_crash_poll", -0.1),
        ("habeat_crash_poll", 0.0004),
        ("habeat_crash_poll", 3),
        ("habeat_dedup_ttl", 5),
        ("habeat_dedup_ttl", 0),
        ("habeat_dispatch", "fast"),
        ("habeat_dispatch", ["auto"]),
        ("habeat_delivery", "exactly_once"),
        ("habeat_misfire", "none"),
        ("habeat_misfire_grace", -1),
        ("habeat_misfire_limit", 0),
        ("habeat_misfire_limit", 1.5),
        ("habeat_misfire_window", -1),
        ("habeat_misfire_window", "1d"),
        ("habeat_remote_tasks", "billing.*"),
        ("habeat_remote_tasks", ["billing.*", 5]),
        ("habeat_remote_tasks", [""]),
        ("habeat_remote_tasks", ["x"] * 101),
        ("habeat_remote_tasks", ["*.invoice"]),
        ("habeat_misfire_pace", 0),
        ("habeat_misfire_pace", 1_001),
        ("habeat_misfire_pace", float("nan")),
        ("habeat_misfire_pace", True),
        ("habeat_misfire_pace", "50"),
        ("habeat_wait_redis_replicas", -1),
        ("habeat_wait_redis_replicas", True),
        ("habeat_publish_timeout", 0),
        ("habeat_ledger_age", 0),
        ("habeat_ledger_length", -5),
        ("habeat_ledger_length", "1000"),
        ("habeat_own_options", "tenant"),
        ("habeat_own_options", ["tenant", 5]),
        ("habeat_own_options", [""]),
        ("habeat_heartbeat_file", ""),
        ("habeat_heartbeat_file", 7),
        ("habeat_key_prefix", ""),
        ("habeat_key_prefix", "my beats"),
        ("habeat_key_prefix", "beats\n"),
        ("habeat_key_prefix", "{beats}"),
        ("habeat_key_prefix", 7),
        ("habeat_redis_url", 7),
        ("habeat_redis_url", ""),
        ("habeat_redis_url", ["redis://a", None]),
        ("habeat_redis_url", "http://redis"),
        ("habeat_redis_url", "localhost:6379"),
        ("habeat_redis_options", "ssl=1"),
        ("habeat_redis_options", {1: 2}),
        ("habeat_webhook_url", "ftp://host/"),
        ("habeat_webhook_url", "https:///path"),
        ("habeat_webhook_url", "https://host:99999/"),
        ("habeat_webhook_url", "https://host/a b"),
        ("habeat_webhook_url", "https://host/\r\nHost: other"),
        ("habeat_webhook_url", "https://host/#fragment"),
        ("habeat_webhook_url", ["https://host/"]),
        ("habeat_webhook_headers", "Authorization: x"),
        ("habeat_webhook_headers", {"Authorization": 7}),
        ("habeat_webhook_headers", {"Author ization": "x"}),
        ("habeat_webhook_headers", {"X": "a\r\nHost: other"}),
        ("habeat_pings", ["https://host/"]),
        ("habeat_pings", {"a": "host"}),
        ("habeat_pings", {"a": {}}),
        ("habeat_pings", {"a": {"end": "https://host/"}}),
        ("habeat_pings", {"a": {"fail": "host"}}),
        ("habeat_pings", {7: "https://host/"}),
        ("habeat_http", 9191),
        ("habeat_http", "9191"),
        ("habeat_http", ":9191"),
        ("habeat_http", "127.0.0.1"),
        ("habeat_http", "127.0.0.1:65536"),
        ("habeat_http", "::1:9191"),
        ("habeat_http", "[127.0.0.1:9191"),
        ("habeat_http", "beat.internal:9191"),
        ("habeat_http", "http://127.0.0.1:9191"),
        ("habeat_http_token", "short"),
        ("habeat_http_token", "with a space in the middle"),
        ("habeat_http_token", "not-ascii-\u00e9-not-ascii"),
        ("habeat_http_token", 1_234_567_890_123_456),
        ("habeat_metrics_entries", -1),
    ],
)
def test_impossible_values_are_refused_by_name(setting: str, value: object) -> None:
    error = refused(**{setting: value})
    assert error.setting == setting
    assert setting in str(error)
    assert "\n" not in str(error)


def test_a_ttl_below_what_renewal_needs_says_so() -> None:
    assert str(refused(habeat_lease_ttl=0.5)) == (
        "invalid habeat_lease_ttl 0.5: expected seconds as a number or a timedelta, at least 1 "
        "(renewal needs that long)"
    )


def test_names_of_own_options_are_a_list() -> None:
    assert read(habeat_own_options=["tenant", "lane"]).own_options == ("lane", "tenant")


def test_crash_poll_is_compared_with_the_ttl_in_force() -> None:
    assert read(habeat_lease_ttl=10, habeat_crash_poll=4).crash_poll_ms == 4_000
    assert "habeat_lease_ttl (1 s)" in str(refused(habeat_lease_ttl=1, habeat_crash_poll=0.5))


def test_dedup_ttl_is_compared_with_the_ttl_in_force() -> None:
    assert refused(habeat_lease_ttl=301).setting == "habeat_dedup_ttl"
    assert read(habeat_lease_ttl=301, habeat_dedup_ttl=301).dedup_ttl_ms == 301_000


def test_atomic_cannot_wait_for_redis_replicas() -> None:
    error = refused(habeat_dispatch="atomic", habeat_wait_redis_replicas=1)
    assert error.setting == "habeat_dispatch"
    assert "habeat_wait_redis_replicas is 1" in str(error)
    assert read(habeat_wait_redis_replicas=1).dispatch == "auto"


def test_atomic_needs_a_redis_as_broker() -> None:
    conf = {"broker_url": "amqp://rabbit", "habeat_redis_url": "redis://state"}
    assert read(habeat_dispatch="outbox", **conf).redis.url == "redis://state"
    assert refused(habeat_dispatch="atomic", **conf).setting == "habeat_dispatch"


# --- names


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("habeat_lease_tll", "habeat_lease_ttl"),
        ("habeat_ttl", "habeat_lease_ttl"),
        ("habeat_grace", "habeat_misfire_grace"),
        ("habeat_redis", "habeat_redis_url"),
        ("habeat_prefix", "habeat_key_prefix"),
    ],
)
def test_unknown_names_are_refused_with_a_guess(wrong: str, meant: str) -> None:
    error = refused(**{wrong: 1})
    assert error.setting == wrong
    assert str(error) == f"unknown setting {wrong} (did you mean {meant}?)"


def test_an_unknown_name_like_no_other_lists_those_that_exist() -> None:
    message = str(refused(habeat_xyzzy=1))
    assert all(row.name in message for row in SETTINGS)


def test_names_of_others_are_left_alone() -> None:
    assert read(redbeat_lock_timeout=1, habeatx=1, my_habeat_thing=1).lease_ttl_ms == 6_000


# --- where Redis is


@pytest.mark.parametrize(
    "url",
    ["redis://h/0", "rediss://u:p@h:6380/1?ssl_cert_reqs=none", "unix:///run/redis.sock",
     "redis+socket:///run/redis.sock", "sentinel://a:26379;sentinel://b:26379",
     "valkey://u:p@h:6380/1", "valkeys://h/0"],
)  # fmt: skip
def test_every_form_of_url_is_accepted(url: str) -> None:
    options = {"master_name": "m"} if url.startswith("sentinel") else {}
    conf = {"habeat_redis_url": url, "habeat_redis_options": options}
    assert Settings.from_conf(conf, app_main="proj").redis == RedisTarget(url, options)


def test_a_broker_is_no_valkey_url_for_kombu_knows_none() -> None:
    assert "valkey://" in str(refused(broker_url="valkey://h/0"))


def test_a_url_of_ones_own_does_not_take_the_brokers_options() -> None:
    settings = read(habeat_redis_url="redis://state", broker_transport_options={"master_name": "m"})
    assert settings.redis == RedisTarget("redis://state")


def test_the_brokers_options_come_with_the_brokers_url() -> None:
    conf = {
        "broker_url": "rediss://broker",
        "broker_transport_options": {"global_keyprefix": "q:", "socket_timeout": 2},
        "broker_use_ssl": {"ssl_cert_reqs": "required"},
    }
    settings = read(**conf)
    assert not settings.redis.strict
    assert settings.redis.options == {
        "global_keyprefix": "q:",
        "socket_timeout": 2,
        "ssl": {"ssl_cert_reqs": "required"},
    }
    own = read(habeat_redis_options={"cluster": True}, **conf)
    assert own.redis == RedisTarget("rediss://broker", {"cluster": True})


@pytest.mark.parametrize(
    ("broker", "expected"),
    [
        (["redis://a"], "redis://a"),
        (["redis://a", "redis://a"], "redis://a"),
        ("redis://a;", "redis://a"),
        (["sentinel://a:1", "sentinel://b:2"], "sentinel://a:1;sentinel://b:2"),
        ("sentinel://a:1;sentinel://b:2", "sentinel://a:1;sentinel://b:2"),
    ],
)
def test_a_broker_may_be_a_list(broker: object, expected: str) -> None:
    options = {"master_name": "m"}
    assert read(broker_url=broker, broker_transport_options=options).redis.url == expected


def test_further_sentinels_need_no_scheme() -> None:
    options = {"master_name": "m"}
    found = read(habeat_redis_url="sentinel://a:1;b", habeat_redis_options=options)
    assert found.redis.address.hosts == (("a", 1), ("b", 26379))


PARTS = {"broker_user": "m@e", "broker_password": "s/e", "broker_port": 7, "broker_vhost": "/3"}


@pytest.mark.parametrize(
    ("conf", "expected"),
    [
        ({"broker_url": "redis://a", **PARTS}, "redis://m%40e:s%2Fe@a:7/3"),
        ({"broker_url": "rediss://x:y@a:1/2?ssl_cert_reqs=none", **PARTS},
         "rediss://x:y@a:1/2?ssl_cert_reqs=none"),
        ({"broker_url": "redis://[::1]/", "broker_port": "7"}, "redis://[::1]:7/"),
        ({"broker_url": "redis://a/2", "broker_password": "p"}, "redis://:p@a/2"),
        ({"broker_url": "sentinel://a:1;sentinel://b:2/4", "broker_password": "p"},
         "sentinel://:p@a:1/;sentinel://:p@b:2/4"),
        ({"broker_url": None, "broker_host": "a", "broker_transport": "redis", **PARTS},
         "redis://m%40e:s%2Fe@a:7/3"),
        ({"broker_url": "redis+socket:///run/r.sock", **PARTS}, "redis+socket:///run/r.sock"),
    ],
)  # fmt: skip
def test_celerys_older_settings_fill_in_what_the_brokers_url_leaves_out(
    conf: dict[str, Any], expected: str
) -> None:
    options = {"master_name": "m"}
    assert read(**conf, broker_transport_options=options).redis.url == expected


@pytest.mark.parametrize("url", ["redis://", "redis://x:y@b:1/2", "redis://x@b"])
def test_with_them_habeat_reaches_what_kombu_reaches(url: str) -> None:
    app = Celery("proj", broker=url)
    app.conf.update(PARTS)
    kombus = app.connection_for_write()
    address = of_app(app).redis.address
    assert address.hosts == ((kombus.hostname or "localhost", kombus.port),)
    assert (address.username, address.password) == (kombus.userid, kombus.password)
    assert str(address.db) == str(kombus.virtual_host).strip("/")


def test_they_leave_a_broken_url_and_another_broker_alone() -> None:
    error = refused(broker_url="redis://a:port", **PARTS)
    assert (error.setting, "invalid host or port" in str(error)) == ("habeat_redis_url", True)
    assert "the broker is amqp://" in str(refused(broker_url="amqp://", **PARTS))


@pytest.mark.parametrize("broker", ["redis://a;redis://b", ["redis://a", "sentinel://b"]])
def test_several_redis_servers_are_refused(broker: object) -> None:
    assert "names 2 servers" in str(refused(broker_url=broker))
    assert refused(habeat_redis_url=broker).setting == "habeat_redis_url"


@pytest.mark.parametrize(
    ("conf", "kind"),
    [
        ({"broker_url": "amqp://guest:secret@rabbit//"}, "amqp://"),
        ({"broker_url": None}, "amqp://"),
        ({"broker_url": ["redis://a", "sqs://"]}, "sqs://"),
        ({"broker_url": "unix:///run/redis.sock"}, "unix://"),
        ({"broker_url": "redis://a", "broker_write_url": "amqp://b"}, "amqp://"),
    ],
)
def test_no_redis_to_be_found(conf: dict[str, Any], kind: str) -> None:
    error = refused(**conf)
    assert error.setting == "habeat_redis_url"
    assert f"the broker is {kind}" in str(error)
    assert "secret" not in str(error)


def test_beat_writes_so_the_write_url_counts() -> None:
    settings = read(broker_url="amqp://a", broker_write_url="redis://b")
    assert settings.redis.url == "redis://b"


def test_passwords_are_not_shown() -> None:
    settings = read(
        habeat_redis_url="redis://:hunter2@h", habeat_redis_options={"password": "hunter3"}
    )
    assert "hunter" not in repr(settings)
    assert "hunter" not in str(refused(habeat_redis_url=["redis://:hunter2@h", 1]))
    assert "hunter" not in str(refused(habeat_redis_url="http://:hunter2@h"))
    assert "hunter" not in str(refused(habeat_redis_options=["hunter2"]))


# --- the app's name


@pytest.mark.parametrize("app_main", [None, "", "__main__"])
def test_an_app_without_a_name_needs_a_prefix(app_main: str | None) -> None:
    assert refused(app_main).setting == "habeat_key_prefix"
    assert read(app_main, habeat_key_prefix="mine").key_prefix == "mine"


def test_a_name_that_cannot_be_part_of_a_key_is_refused() -> None:
    assert refused("my app").setting == "habeat_key_prefix"


# --- real apps


def test_an_app_configured_by_attributes_and_updates() -> None:
    app = Celery("proj", broker="redis://h/1")
    app.conf.habeat_lease_ttl = 3
    app.conf.update(habeat_misfire="skip", habeat_dedup_ttl=30)
    settings = of_app(app)
    assert (settings.lease_ttl_ms, settings.misfire, settings.dedup_ttl_ms) == (3000, "skip", 30000)
    assert (settings.redis.url, settings.key_prefix) == ("redis://h/1", "habeat:proj")


def test_reading_leaves_the_configuration_as_it_was() -> None:
    app = Celery("proj", broker="redis://h/1")
    of_app(app)
    assert [key for key in app.conf if "habeat" in key] == []


def test_an_app_configured_with_a_namespace() -> None:
    app = Celery("proj")
    app.config_from_object(
        {
            "CELERY_BROKER_URL": "redis://h/1",
            "CELERY_BROKER_TRANSPORT_OPTIONS": {"global_keyprefix": "q:"},
            "CELERY_HABEAT_LEASE_TTL": 3,
            "habeat_misfire": "all",
            "UNRELATED": 1,
        },
        namespace="CELERY",
    )
    settings = of_app(app)
    assert (settings.lease_ttl_ms, settings.misfire) == (3000, "all")
    assert settings.redis.options == {"global_keyprefix": "q:"}


def test_an_app_configured_from_a_module(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("habeat_test_settings")
    vars(module).update(broker_url="redis://h/1", habeat_lease_ttl=3)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    app = Celery("proj")
    app.config_from_object(module.__name__)
    assert of_app(app).lease_ttl_ms == 3000
    vars(module)["habeat_lease"] = 3
    again = Celery("proj")
    again.config_from_object(module.__name__)
    with pytest.raises(SettingsError, match="did you mean habeat_lease_ttl"):
        of_app(again)


@pytest.mark.parametrize(
    ("source", "namespace", "setting", "sentence"),
    [
        ({"HABEAT_LEASE_TTL": 3}, None, "HABEAT_LEASE_TTL", "write habeat_lease_ttl"),
        ({"CELERY_HABEAT_LEASE_TTL": 3}, None, "CELERY_HABEAT_LEASE_TTL", "write habeat_lease_ttl"),
        ({"HABEAT_LEASE_TTL": 3}, "CELERY", "HABEAT_LEASE_TTL", "write CELERY_HABEAT_LEASE_TTL"),
        ({"CELERY_HABEAT_TTL": 3}, "CELERY", "CELERY_HABEAT_TTL", "mean CELERY_HABEAT_LEASE_TTL?"),
        ({"HABEAT_LEASE_TLL": 3}, None, "HABEAT_LEASE_TLL", "mean habeat_lease_ttl?"),
        ({"habeat_lease": 3}, "CELERY", "habeat_lease", "mean CELERY_HABEAT_LEASE_TTL?"),
    ],
)
def test_names_that_celery_would_ignore_are_refused(
    source: dict[str, Any], namespace: str | None, setting: str, sentence: str
) -> None:
    app = Celery("proj", broker="redis://h/1")
    app.config_from_object(source, namespace=namespace)
    with pytest.raises(SettingsError) as caught:
        of_app(app)
    assert caught.value.setting == setting
    assert sentence in str(caught.value)


def test_a_variable_beside_the_setting_itself_is_allowed() -> None:
    app = Celery("proj")
    app.config_from_object({"HABEAT_REDIS_URL": "redis://h", "habeat_redis_url": "redis://h"})
    assert of_app(app).redis.url == "redis://h"


def test_the_broker_of_the_environment_is_the_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://from-env/2")
    app = Celery("proj", broker="amqp://in-code")
    assert of_app(app).redis.url == "redis://from-env/2"


def test_celerys_own_default_broker_is_no_redis() -> None:
    with pytest.raises(SettingsError, match="habeat has no Redis"):
        of_app(Celery("proj"))


def test_an_app_without_a_name_is_refused() -> None:
    with pytest.raises(SettingsError, match="no name of its own"):
        of_app(Celery(broker="redis://h"))


def test_a_shadow_has_a_prefix_of_its_own_whether_one_is_set_or_not() -> None:
    conf = {"broker_url": "redis://", "habeat_shadow": True}
    assert Settings.from_conf(conf, app_main="proj").key_prefix == "habeat:proj-shadow"
    conf["habeat_key_prefix"] = "own"
    assert Settings.from_conf(conf, app_main="proj").key_prefix == "own-shadow"


# --- the endpoint


@pytest.mark.parametrize("written", ["0.0.0.0:9191", "[::]:9191", "10.0.0.7:9191"])
def test_an_address_that_other_hosts_reach_needs_a_token(written: str) -> None:
    error = refused(habeat_http=written)
    assert error.setting == "habeat_http"
    assert "habeat_http_token" in str(error)
    settings = read(habeat_http=written, habeat_http_token="x" * 16)
    assert str(settings.http) == written


@pytest.mark.parametrize("written", ["127.0.0.1:9191", "localhost:0", "[::1]:9191", "127.9.9.9:1"])
def test_an_address_of_this_host_needs_none(written: str) -> None:
    settings = read(habeat_http=written)
    assert settings.http is not None
    assert settings.http.is_local


def test_the_token_is_in_no_error_and_no_repr() -> None:
    token = "a-secret-of-some-length"
    assert token not in repr(read(habeat_http_token=token))
    assert "short" not in str(refused(habeat_http_token="short"))


SECRET_URL = "https://user:hush@hooks.example.com:8443/services/T00/hush?key=hush"


def test_a_webhook_and_pings_show_no_secrets() -> None:
    settings = read(
        habeat_webhook_url=SECRET_URL,
        habeat_webhook_headers={"Authorization": "Bearer hush"},
        habeat_pings={"a": SECRET_URL},
    )
    assert "hush" not in repr(settings)
    assert str(settings.webhook_url) == "https://hooks.example.com:8443/…"
    assert "hush" not in str(refused(habeat_webhook_url=f"{SECRET_URL}#x"))
    assert "hush" not in str(refused(habeat_webhook_headers={"A": "hush\n"}))
    assert "hush" not in str(refused(habeat_pings={"a": "hush"}))


def test_one_url_stands_for_success_and_failure() -> None:
    given = {
        "one": "https://hc-ping.com/id?create=1",
        "own": {"start": "https://hc-ping.com/id/start"},
    }
    pings = read(habeat_pings=given).pings
    assert {name: {k: v.url for k, v in urls.items()} for name, urls in pings.items()} == {
        "one": {
            "success": "https://hc-ping.com/id?create=1",
            "fail": "https://hc-ping.com/id/fail?create=1",
        },
        "own": {"start": "https://hc-ping.com/id/start"},
    }
