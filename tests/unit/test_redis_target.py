"""URLs of Redis in all their forms, their options, and that no password is ever shown."""

from __future__ import annotations

import copy
import pickle
import ssl
from typing import Any

import pytest
from redis.credentials import UsernamePasswordCredentialProvider

from habeat.config.redis_target import RedisTarget, redis_target
from habeat.config.redis_urls import parse_url
from habeat.errors import SettingsError

HOSTS = {
    "redis://": (("localhost", 6379),),
    "redis://example:7000/3": (("example", 7000),),
    "rediss://[::1]:7000/3": (("::1", 7000),),
    "valkey://example": (("example", 6379),),
    "valkeys://example/3": (("example", 6379),),
    "REDIS://example/": (("example", 6379),),
    "sentinel://a": (("a", 26379),),
    "sentinel://a:1/3;sentinel://b:2/3": (("a", 1), ("b", 2)),
    "sentinel://a:1;b;sentinel://c:3/": (("a", 1), ("b", 26379), ("c", 3)),
    "redis://a;redis://b:2": (("a", 6379), ("b", 2)),
}


@pytest.mark.parametrize("url", HOSTS)
def test_hosts(url: str) -> None:
    assert parse_url(url).hosts == HOSTS[url]


@pytest.mark.parametrize(
    ("url", "db"),
    [
        ("redis://example", 0),
        ("redis://example/", 0),
        ("redis://example/7", 7),
        ("redis://example?db=7", 7),
        ("redis://example/?virtual_host=7", 7),
        ("unix:///run/redis.sock", 0),
        ("unix:///run/redis.sock?db=7", 7),
        ("redis+socket:///run/redis.sock?virtual_host=7", 7),
        ("redis+socket:///run/redis.sock?virtual_host=/7", 7),
        ("sentinel://a/7;sentinel://b/7", 7),
        ("sentinel://a;sentinel://b/7", 7),
    ],
)
def test_database(url: str, db: int) -> None:
    assert parse_url(url).db == db
    assert RedisTarget(url).db == db


def test_a_database_that_celery_ignores_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"\?virtual_host= instead") as caught:
        parse_url("redis+socket://me:secret@/run/redis.sock?db=3")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["unix", "redis+socket"])
def test_a_socket_has_a_path_and_no_host(scheme: str) -> None:
    address = parse_url(f"{scheme}://me:secret@/run/with%20space;1.sock")
    assert address.path == "/run/with space;1.sock"
    assert address.hosts == ()
    assert (address.username, address.password) == ("me", "secret")


@pytest.mark.parametrize(
    ("url", "username", "password"),
    [
        ("redis://example", None, None),
        ("redis://:secret@example", None, "secret"),
        ("redis://me@example", "me", None),
        ("redis://me:secret@example", "me", "secret"),
        ("redis://m%40e:s%2Fe%3Bc%25@example", "m@e", "s/e;c%"),
        ("sentinel://a;sentinel://me:secret@b", "me", "secret"),
        ("unix:///run/redis.sock?password=secret&username=me", "me", "secret"),
    ],
)
def test_credentials(url: str, username: str | None, password: str | None) -> None:
    address = parse_url(url)
    assert (address.username, address.password) == (username, password)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://me:secret@example/1", "redis://me:**@example:6379/1"),
        ("redis://:secret@example", "redis://:**@example:6379/0"),
        ("redis://m%40e:secret@example", "redis://m%40e:**@example:6379/0"),
        ("rediss://[::1]?ssl_password=secret", "rediss://[::1]:6379/0"),
        ("unix:///run/a%20b?password=secret&db=1", "unix://:**@/run/a%20b?db=1"),
        (
            "sentinel://me:secret@a/2;sentinel://me:secret@b",
            "sentinel://me:**@a:26379/2;sentinel://b:26379/2",
        ),
    ],
)
def test_what_is_shown_hides_the_password(url: str, shown: str) -> None:
    target = redis_target(
        url, {"password": "secret", "master_name": "m", "sentinel_kwargs": {"password": "secret"}}
    )
    assert target.safe_url() == shown
    assert str(target) == shown
    for text in (repr(target), repr(target.address), f"{target!r:>9}"):
        assert "secret" not in text


BROKEN = [
    "",
    "secret",
    "http://me:secret@example",
    "amqp://me:secret@example//",
    "redis:me:secret@example",
    "redis://me:secret",  # no host: the password stands where a port should
    "redis://me:sec/secret@example",
    "redis://me:sec#secret@example",
    "redis://me:sec?secret@example",
    "redis://:sec#secret@example",
    "redis://me:sec;secret@example",
    "redis://me:sec[secret@example",
    "redis://me:secret@example:port",
    "redis://me:secret@example:99999",
    "redis://me:secret@example/name",
    "redis://me:secret@example/1/2",
    "redis://me:secret@example/-1",
    "redis://me:secret@example;amqp://example",
    "unix://me:secret@example/run/redis.sock",
    "unix://",
    "unix:///",
    "unix:///run/redis.sock?db=secret",
    "sentinel://a/0;redis://me:secret@b",
]


@pytest.mark.parametrize("url", BROKEN)
def test_a_broken_url_is_refused_in_a_sentence_without_the_password(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        redis_target(url, {"master_name": "m"})
    assert caught.value.setting == "habeat_redis_url"
    assert "habeat_redis_url" in str(caught.value)
    assert "sec" not in str(caught.value)
    assert caught.value.__cause__ is None  # a traceback would show what urllib has to say
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert "sec" not in repr(RedisTarget(url))


def test_a_list_of_plain_servers_is_for_a_cluster_only() -> None:
    urls = "redis://a/0;redis://b"
    assert redis_target(urls, {"cluster": True}).cluster
    with pytest.raises(SettingsError, match="several servers"):
        redis_target(urls)


@pytest.mark.parametrize(
    ("url", "setting"),
    [
        ("redis://a/1", "habeat_redis_url"),
        ("unix:///run/redis.sock", "habeat_redis_options"),
        ("sentinel://a", "habeat_redis_options"),
    ],
)
def test_what_a_cluster_cannot_be(url: str, setting: str) -> None:
    with pytest.raises(SettingsError) as caught:
        redis_target(url, {"cluster": True, "master_name": "m"})
    assert caught.value.setting == setting


def test_sentinel_needs_the_name_of_the_master() -> None:
    with pytest.raises(SettingsError, match="master_name"):
        redis_target("sentinel://a")
    assert redis_target("sentinel://a", {"master_name": "m"}, strict=False).db == 0


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("CERT_REQUIRED", "required"),
        ("required", "required"),
        (ssl.CERT_REQUIRED, "required"),
        (2, "required"),
        ("CERT_OPTIONAL", "optional"),
        ("optional", "optional"),
        ("CERT_NONE", "none"),
        ("none", "none"),
        (ssl.CERT_NONE, "none"),
        (0, "none"),
        (None, "none"),
    ],
)
def test_the_many_ways_to_write_cert_reqs(given: Any, meant: str) -> None:
    for target in (
        redis_target("rediss://a", {"ssl_cert_reqs": given}),
        redis_target("rediss://a", {"ssl": {"ssl_cert_reqs": given}}),
        redis_target("redis://a", {"ssl": {"ssl_cert_reqs": given}}, strict=False),
        redis_target(f"rediss://a?ssl_cert_reqs={given if isinstance(given, str) else meant}"),
    ):
        assert target.checked_options["ssl_cert_reqs"] == meant


@pytest.mark.parametrize("given", ["always", 7, object()])
def test_a_cert_reqs_of_no_meaning_is_refused(given: Any) -> None:
    with pytest.raises(SettingsError, match="ssl_cert_reqs") as caught:
        redis_target("rediss://a", {"ssl_cert_reqs": given}, strict=False)
    assert caught.value.setting == "habeat_redis_options"


@pytest.mark.parametrize(
    ("url", "ssl_option", "checked"),
    [
        ("rediss://a", None, "none"),  # kombu warns and does not check
        ("rediss://a", {}, "none"),
        ("rediss://a", True, None),
        ("rediss://a", {"ssl_ca_certs": "/ca.pem"}, None),
        ("rediss://a?ssl_ca_certs=/ca.pem", None, None),
        ("rediss://a?ssl_cert_reqs=required", {"ssl_cert_reqs": None}, "required"),
        ("redis://a?ssl_cert_reqs=optional", None, "optional"),
    ],
)
def test_a_brokers_tls_options_mean_what_they_mean_to_kombu(
    url: str, ssl_option: Any, checked: str | None
) -> None:
    given = {} if ssl_option is None else {"ssl": ssl_option}
    target = redis_target(url, given, strict=False)
    assert target.tls
    assert target.checked_options.get("ssl_cert_reqs") == checked


def test_in_habeats_own_options_a_certificate_is_always_checked_unless_it_says_no() -> None:
    assert "ssl_cert_reqs" not in redis_target("rediss://a").checked_options
    assert "ssl_check_hostname" not in redis_target("rediss://a").checked_options


def test_tls_by_scheme_or_by_option() -> None:
    assert redis_target("rediss://a").tls
    assert redis_target("valkeys://a").tls
    assert redis_target("redis://a", {"ssl": True}).tls
    assert redis_target("sentinel://a", {"ssl": {}, "master_name": "m"}).tls is False
    assert redis_target("sentinel://a", {"ssl": True, "master_name": "m"}).tls
    assert not redis_target("redis://a", {"ssl": False}).tls


@pytest.mark.parametrize(
    ("url", "given", "setting"),
    [
        ("redis://a", {"ssl_ca_certs": "/ca.pem"}, "habeat_redis_options"),
        ("redis://a", {"ssl_cert_reqs": "required", "ssl": False}, "habeat_redis_options"),
        ("redis://a?ssl_cert_reqs=required", {}, "habeat_redis_url"),
        ("sentinel://a", {"master_name": "m", "ssl_check_hostname": True}, "habeat_redis_options"),
    ],
)
def test_tls_options_without_tls_are_refused(url: str, given: dict[str, Any], setting: str) -> None:
    with pytest.raises(SettingsError, match="without TLS: use a rediss:// URL or set") as caught:
        redis_target(url, given)
    assert caught.value.setting == setting
    assert redis_target(url, {**given, "ssl": True}).tls


def test_a_tls_option_without_a_value_is_no_option() -> None:
    assert not redis_target("redis://a", {"ssl_ca_certs": None}).tls


def test_the_urls_query_is_read_and_the_options_go_first() -> None:
    url = "rediss://a?ssl_ca_certs=/ca.pem&ssl_certfile=/c.pem&ssl_check_hostname=false"
    options = redis_target(url, {"ssl_certfile": "/other.pem"}).checked_options
    assert options["ssl_ca_certs"] == "/ca.pem"
    assert options["ssl_certfile"] == "/other.pem"
    assert options["ssl_check_hostname"] is False


KOMBUS = {
    "visibility_timeout": 3600,
    "global_keyprefix": "x",
    "queue_order_strategy": "priority",
    "fanout_prefix": True,
    "fanout_patterns": True,
    "priority_steps": [0, 3],
    "sep": ":",
    "max_retries": 3,
    "retry_on_timeout": True,
    "socket_timeout": 120,
    "socket_connect_timeout": 5,
    "max_connections": 10,
    "health_check_interval": 25,
    "protocol": 3,
    "retry": object(),
    "retry_on_error": [],
}


def test_a_brokers_transport_options_are_passed_over_but_for_ours() -> None:
    given = {**KOMBUS, "socket_keepalive": True, "client_name": "me"}
    options = redis_target("redis://a", given, strict=False).checked_options
    assert options == {"socket_keepalive": True, "client_name": "me"}


@pytest.mark.parametrize("name", sorted(set(KOMBUS) - {"retry_on_timeout"}))
def test_strictly_an_option_that_means_nothing_here_is_refused_by_name(name: str) -> None:
    with pytest.raises(SettingsError, match=name) as caught:
        redis_target("redis://a", {name: KOMBUS[name]})
    assert caught.value.setting == "habeat_redis_options"


def test_strictly_an_unknown_word_inside_ssl_is_refused_too() -> None:
    with pytest.raises(SettingsError, match="ca_cert"):
        redis_target("redis://a", {"ssl": {"ca_cert": "/ca.pem"}})


@pytest.mark.parametrize("name", ["my beat", "two\nlines", "bête"])
def test_a_client_name_that_redis_refuses_is_refused_or_the_brokers_left_out(name: str) -> None:
    with pytest.raises(SettingsError, match="client_name"):
        redis_target("redis://a", {"client_name": name})
    brokers = redis_target("redis://a", {"client_name": name}, strict=False)
    assert "client_name" not in brokers.checked_options


class Provider(UsernamePasswordCredentialProvider):
    def __init__(self) -> None:
        super().__init__("me", "secret")


@pytest.mark.parametrize(
    "given",
    [Provider, Provider(), f"{__name__}.Provider", f"{__name__}:Provider"],
    ids=["class", "object", "dotted", "colon"],
)
def test_a_credential_provider_takes_the_place_of_the_password(given: Any) -> None:
    target = redis_target("redis://other:pw@a", {"credential_provider": given})
    options = target.checked_options
    assert options["credential_provider"].get_credentials() == ("me", "secret")
    assert not {"username", "password"} & options.keys()


@pytest.mark.parametrize(
    ("options", "login"),
    [
        ({"password": lambda: "new"}, ("new",)),
        ({"username": lambda: "me", "password": lambda: "new"}, ("me", "new")),
        ({"username": lambda: "me"}, ("me", "")),
        ({"username": "me", "password": lambda: "new"}, ("me", "new")),
        ({"username": lambda: "me", "password": "secret"}, ("me", "secret")),
    ],
)
def test_user_and_password_may_be_functions(options: Any, login: tuple[str, ...]) -> None:
    for strict in (True, False):
        found = redis_target("redis://a", options, strict=strict).checked_options
        assert found["credential_provider"].get_credentials() == login
        assert not {"username", "password"} & found.keys()


@pytest.mark.parametrize("given", [None, "CERT_NONE", ssl.CERT_NONE, "none"])
def test_the_sentinels_own_certificates_are_written_as_freely(given: Any) -> None:
    theirs = {"ssl": True, "ssl_cert_reqs": given}
    target = redis_target("sentinel://a", {"master_name": "m", "sentinel_kwargs": theirs})
    assert target.checked_options["sentinel_kwargs"] == {"ssl": True, "ssl_cert_reqs": "none"}


def test_a_function_may_go_with_the_user_of_the_url_and_for_the_sentinels_too() -> None:
    given = {"password": lambda: "new", "sentinel_kwargs": {"password": lambda: "theirs"}}
    given["master_name"] = "m"
    options = redis_target("sentinel://me@a", given).checked_options
    assert options["credential_provider"].get_credentials() == ("me", "new")
    theirs = options["sentinel_kwargs"]["credential_provider"]
    assert theirs.get_credentials() == ("theirs",)
    assert "password" not in options["sentinel_kwargs"]


@pytest.mark.parametrize(
    "written", ["sentinel_kwargs=x", "socket_keepalive_options=x", "min_other_sentinels=x"]
)
@pytest.mark.parametrize("strict", [True, False])
def test_what_a_url_cannot_hold_is_refused(written: str, strict: bool) -> None:
    with pytest.raises(SettingsError, match=written.partition("=")[0]):
        redis_target(f"redis://a?{written}", strict=strict)


@pytest.mark.parametrize("given", ["no.such.Thing", "Thing", "os.path", object(), ""])
def test_what_is_no_credential_provider_is_refused(given: Any) -> None:
    with pytest.raises(SettingsError, match="credential_provider"):
        redis_target("redis://a", {"credential_provider": given})


def test_a_target_can_be_compared_hashed_copied_and_pickled() -> None:
    target = redis_target("redis://me:secret@a/1", {"socket_keepalive": False})
    for other in (copy.deepcopy(target), pickle.loads(pickle.dumps(target))):
        assert other == target
        assert hash(other) == hash(target)
        assert other.db == 1
