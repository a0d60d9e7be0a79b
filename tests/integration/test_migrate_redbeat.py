"""`migrate --from redbeat` against what RedBeat itself writes, and what others may have written."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import Celery
from celery.schedules import crontab, schedule

from habeat.client import Client
from habeat.config.redis_target import RedisTarget
from habeat.errors import SettingsError
from habeat.migrate.apply import Migration, migrated
from habeat.migrate.found import Living, Reading, SourceUnreadable
from habeat.migrate.sources import redbeat as source
from tests.integration.test_cli import Shell
from tests.support.redbeat import redbeat
from tests.support.servers.cluster import Cluster
from tests.support.servers.redis_server import Server

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)


@pytest.fixture
def app(valkey: Server) -> Iterator[Celery]:
    made = Celery("proj", broker=valkey.url(), set_as_current=False)
    made.conf.redbeat_redis_url = valkey.url()
    yield made
    made.close()


@pytest.fixture
def shell(app: Celery, valkey: Server) -> Shell:
    made = Shell(valkey.url())
    made.app = app
    return made


@pytest.fixture
def admin(valkey: Server) -> Any:
    return valkey.client()


def save(app: Celery, name: str, given: Any = 3_600, last: datetime | None = None, **more: Any):
    """An entry as RedBeat saves it and, with `last`, as it is after a run."""
    made = redbeat().RedBeatSchedulerEntry(
        name, "proj.work", schedule(given) if isinstance(given, int) else given, app=app, **more
    )
    made.last_run_at = None
    made.save()
    if last is not None:
        made.reschedule(last)
    return made


def read(app: Celery, *declared: str, sleep: Any = lambda _: None) -> Reading:
    return source.read(source.settings_of(app.conf), declared, "UTC", sleep)


def reasons(found: Reading) -> dict[str, str]:
    return {each.name: each.why for each in found.uncarried}


def test_entries_of_every_kind_are_read(app: Celery) -> None:
    redbeat()
    from redbeat.schedules import rrule

    save(app, "period", 90, NOW)
    save(app, "cron", crontab(minute=5), NOW, args=[1], options={"queue": "q"})
    save(app, "rule", rrule("DAILY", dtstart=NOW), NOW)
    save(app, "off", 60, NOW, enabled=False)
    save(app, "new", 60)
    found = read(app)
    assert found.uncarried == []
    assert [each.name for each in found.entries] == ["cron", "new", "off", "period", "rule"]
    assert found.entries[0].arguments["args"] == [1]
    assert found.entries[0].last_run_at == NOW
    new = found.entries[1]
    assert new.last_run_at is None
    assert new.first_run_at is not None
    assert abs(new.first_run_at - datetime.now(UTC)) < timedelta(minutes=1)
    assert [each.enabled for each in found.entries] == [True, True, False, True, True]


@pytest.mark.parametrize("name", ["a b", "ä:ö", "x*[?]", 'qu"ote', "new\nline", ":schedule2", "1"])
def test_any_name_is_read(app: Celery, name: str) -> None:
    save(app, name, 60, NOW)
    assert [each.name for each in read(app).entries] == [name]


def test_entries_of_code_are_recognised(app: Celery, admin) -> None:
    save(app, "nightly", crontab(hour=3), NOW)
    save(app, "former", crontab(hour=4), NOW)
    admin.sadd("redbeat::statics", "nightly", "former")
    found = read(app, "nightly")
    assert [(each.name, each.declared, each.last_run_at) for each in found.entries] == [
        ("nightly", True, NOW)
    ]
    [former] = found.uncarried
    assert (former.name, former.dropped) == ("former", True)


def test_orphans_are_named_and_the_rest_is_read(app: Celery, admin) -> None:
    save(app, "good", 60, NOW)
    save(app, "no place", 60, NOW)
    admin.zrem("redbeat::schedule", "redbeat:no place")
    admin.zadd("redbeat::schedule", {"redbeat:no hash": 1})
    found = read(app)
    assert [each.name for each in found.entries] == ["good"]
    assert "never runs there" in reasons(found)["no place"]
    assert "no definition" in reasons(found)["no hash"]
    assert [each.dropped for each in sorted(found.uncarried, key=lambda each: each.name)] == [
        True,
        False,
    ]


def test_what_redbeat_dies_of_is_named_and_the_rest_is_read(app: Celery, admin) -> None:
    save(app, "good", 60, NOW)
    broken = {
        "no json": "{",
        "unknown type": json.dumps({"name": "unknown type", "schedule": {"__type__": "moon"}}),
        "other name": json.dumps({"name": "another", "task": "t", "schedule": 60}),
        "large": "x" * 1_100_000,
    }
    for name, text in broken.items():
        admin.hset(f"redbeat:{name}", "definition", text)
    admin.set("redbeat:a string", "x")
    admin.zadd("redbeat::schedule", {f"redbeat:{name}": 1 for name in (*broken, "a string")})
    found = read(app)
    assert [each.name for each in found.entries] == ["good"]
    why = reasons(found)
    assert why.keys() == {*broken, "a string"}
    assert "not JSON" in why["no json"]
    assert "moon" in why["unknown type"]
    assert "another" in why["other name"]
    assert "bytes" in why["large"]
    assert "no hash of RedBeat's" in why["a string"]


def test_hashes_of_other_programs_are_not_entries(app: Celery, admin) -> None:
    save(app, "good", 60, NOW)
    admin.hset("redbeat:stranger", "else", "x")
    assert read(app).uncarried == []


@pytest.mark.parametrize("key", ["redbeat::schedule", "redbeat::statics"])
def test_a_key_of_a_foreign_type_is_an_error(app: Celery, admin, key: str) -> None:
    admin.set(key, "x")
    with pytest.raises(SourceUnreadable, match=key):
        read(app)


def test_nothing_at_all_is_an_error(app: Celery) -> None:
    with pytest.raises(SourceUnreadable, match="redbeat_key_prefix"):
        read(app)


def test_a_redis_that_is_away_is_an_error(app: Celery) -> None:
    app.conf.redbeat_redis_url = "redis://127.0.0.1:1/0"
    with pytest.raises(SourceUnreadable, match=r"^cannot read RedBeat at \S+127\.0\.0\.1:1"):
        read(app)


def test_a_prefix_with_characters_of_a_pattern_is_taken_as_it_is(app: Celery, admin) -> None:
    app.conf.redbeat_key_prefix = "red[b]*:"
    save(app, "mine", 60, NOW)
    admin.hset("redb:theirs", "definition", "{")
    found = read(app)
    assert ([each.name for each in found.entries], found.uncarried) == (["mine"], [])


def test_the_search_for_orphans_is_bounded(app: Celery, admin, monkeypatch) -> None:
    save(app, "good", 60, NOW)
    admin.hset("redbeat:orphan", "definition", "{")
    monkeypatch.setattr("habeat.migrate.sources.redbeat.reading.SEARCH_US", -1)
    found = read(app)
    assert [each.name for each in found.entries] == ["good"]
    assert "not all looked for" in found.hint


def test_a_user_without_scan_reads_the_schedule(app: Celery, admin, valkey: Server) -> None:
    save(app, "good", 60, NOW)
    admin.execute_command(
        "ACL", "SETUSER", "mover", "on", ">pw", "~*", "&*", "+@all", "-scan", "-@dangerous"
    )
    try:
        app.conf.redbeat_redis_url = valkey.url().replace("redis://", "redis://mover:pw@")
        found = read(app)
    finally:
        admin.execute_command("ACL", "DELUSER", "mover")
    assert [each.name for each in found.entries] == ["good"]
    assert "permission for SCAN" in found.hint


def raw(name: str) -> dict[str, str]:
    period = {"__type__": "interval", "every": 60.0, "relative": False}
    return {"definition": json.dumps({"name": name, "task": "proj.work", "schedule": period})}


def test_a_cluster_is_read_whose_keys_are_on_all_nodes(cluster: Cluster) -> None:
    app = Celery("proj", set_as_current=False)
    app.conf.redbeat_redis_url = cluster.url
    app.conf.redbeat_redis_options = {"cluster": True}
    client = cluster.client()
    names = [f"e{number:02}" for number in range(30)]
    for name in (*names, "orphan"):
        client.hset(f"redbeat:{name}", mapping=raw(name))
    client.zadd("redbeat::schedule", {f"redbeat:{name}": 1.7e9 for name in names})
    client.set("redbeat:a string", "x")
    client.zadd("redbeat::schedule", {"redbeat:a string": 1})
    found = read(app)
    assert [each.name for each in found.entries] == names
    assert reasons(found).keys() == {"orphan", "a string"}
    client.close()


# -- is it alive? -----------------------------------------------------------------------------


def living(app: Celery, sleep: Any = lambda _: None) -> Living:
    save(app, "e", 60, NOW)
    return read(app, sleep=sleep).living


def test_without_a_lock_it_does_not_run(app: Celery) -> None:
    assert living(app) == Living(False)


def test_a_lock_that_is_extended_belongs_to_a_beat(app: Celery, admin) -> None:
    admin.set("redbeat::lock", "x", px=1_499_000)
    found = living(app, lambda _: admin.pexpire("redbeat::lock", 1_500_000))
    assert found.alive
    assert "is being extended" in found.evidence


@pytest.mark.parametrize("ttl_s", [24, 1_490])
def test_a_lock_that_is_held_counts_as_alive(app: Celery, admin, ttl_s: int) -> None:
    """Its settings do not tell how old it is: `beat --max-interval 5` holds it for 25 s only."""
    admin.set("redbeat::lock", "x", ex=ttl_s)
    found = living(app)
    assert found.alive
    assert f"is held for {ttl_s} s more" in found.evidence
    assert "or delete that key" in found.evidence


def test_a_lock_that_is_released_while_it_is_watched_is_no_beats(app: Celery, admin) -> None:
    admin.set("redbeat::lock", "x", ex=1_499)
    assert not living(app, lambda _: admin.delete("redbeat::lock")).alive


def test_a_lock_that_never_ends_counts_as_alive(app: Celery, admin) -> None:
    admin.set("redbeat::lock", "x")
    assert living(app).alive


def test_without_locks_the_entries_are_watched(app: Celery) -> None:
    app.conf.redbeat_lock_key = None
    found = living(app)
    assert (found.alive, "without a lock" in found.evidence) == (False, True)
    found = living(app, lambda _: save(app, "e", 60, datetime.now(UTC) + HOUR))
    assert (found.alive, "changes" in found.evidence) == (True, True)


# -- the settings -----------------------------------------------------------------------------

URL = "redis://:pw@host:7000/3"


def target(**conf: Any) -> RedisTarget:
    app = Celery("proj", set_as_current=False)
    app.conf.update(conf)
    return source.settings_of(app.conf).target


def test_its_own_url_is_used_else_the_brokers() -> None:
    assert target(broker_url="redis://broker/1").safe_url() == "redis://broker:6379/1"
    assert target(broker_url="amqp://x", redbeat_redis_url=URL).safe_url() == (
        "redis://:**@host:7000/3"
    )


def test_settings_under_a_namespace_and_in_capitals_are_read() -> None:
    class Django:
        CELERY_REDBEAT_REDIS_URL = URL
        CELERY_REDBEAT_KEY_PREFIX = "proj"
        CELERY_REDBEAT_LOCK_KEY = ":mine"

    app = Celery("proj", set_as_current=False)
    app.config_from_object(Django, namespace="CELERY")
    found = source.settings_of(app.conf)
    assert (found.target.address.db, found.key_prefix) == (3, "proj")
    assert (found.schedule_key, found.lock_key) == ("proj:schedule", "proj:mine")


def test_the_options_of_the_broker_are_for_sentinels_only() -> None:
    options = {"password": "secret", "client_name": "x"}
    assert (
        "password"
        not in target(
            redbeat_redis_url="redis://h/0", broker_transport_options=options
        ).checked_options
    )
    found = target(redbeat_redis_url="redis://h/0", redbeat_redis_options=options)
    assert found.checked_options["password"] == "secret"


def test_sentinels_are_read_from_the_options() -> None:
    found = target(
        redbeat_redis_url="redis-sentinel://redis-sentinel:26379/0",
        redbeat_redis_options={
            "sentinels": [("a", 26379), ("b", 26380)],
            "service_name": "prod",
            "password": "secret",
            "db": 4,
            "retry_period": 60,
        },
    )
    assert found.address.sentinel
    assert found.address.hosts == (("a", 26379), ("b", 26380))
    assert (found.db, found.checked_options["master_name"]) == (4, "prod")
    assert found.checked_options["password"] == "secret"


def test_a_cluster_is_read_from_the_options() -> None:
    found = target(redbeat_redis_url="redis://h:7000", redbeat_redis_options={"cluster": True})
    assert found.cluster
    nodes = [{"host": "a", "port": "7000"}, {"host": "b", "port": 7001}]
    found = target(
        redbeat_redis_url="redis-cluster://x", redbeat_redis_options={"startup_nodes": nodes}
    )
    assert (found.cluster, found.address.hosts) == (True, (("a", 7000), ("b", 7001)))


def test_certificates_are_checked_unless_the_settings_say_otherwise() -> None:
    assert target(redbeat_redis_url="rediss://h/0").checked_options["ssl_cert_reqs"] == "required"
    for given in (
        {"redbeat_redis_url": "rediss://h/0", "redbeat_redis_use_ssl": {"ssl_cert_reqs": None}},
        {"redbeat_redis_url": "rediss://h/0?ssl_cert_reqs=none"},
    ):
        assert target(**given).checked_options["ssl_cert_reqs"] == "none"


def test_an_url_that_cannot_be_used_is_named() -> None:
    with pytest.raises(SettingsError, match="redbeat_redis_url") as caught:
        target(broker_url="amqp://user:secret@host//")
    assert "secret" not in str(caught.value)


# -- the command ------------------------------------------------------------------------------


def test_a_dry_run_writes_nothing_and_then_it_is_applied(app: Celery, shell: Shell) -> None:
    app.conf.beat_schedule = {"nightly": {"task": "proj.work", "schedule": crontab(hour=3)}}
    save(app, "hourly", 3_600, NOW - timedelta(minutes=20))
    save(app, "nightly", crontab(hour=3), NOW - timedelta(hours=2))
    save(app, "off", 60, NOW, enabled=False)
    save(app, "late", 60, NOW - HOUR)
    before = shell("migrate", "--from", "redbeat")
    assert before.exit_code == 0, before.output
    lines = {line.split("  ")[0]: line for line in before.stdout.splitlines()}
    assert "carried" in lines["hourly"]
    assert "declared" in lines["nightly"]
    assert "disabled" in lines["off"]
    assert "slots since its last run are due" in lines["late"]
    assert "nothing was written; to write, give --apply" in before.stdout
    with Client(app) as client:
        assert list(client.list()) == []
        done = shell.json("migrate", "--from", "redbeat", "--apply")
        assert (done["written"], done["alive"]) == (True, False)
        assert client.get("hourly").state.next_slot == NOW + timedelta(minutes=40)
        assert client.get("nightly").owner == "config"
        assert client.get("off").condition == "disabled"
        client.update("late", args=[9])
    again = shell("migrate", "--from", "redbeat", "--apply", "--json")
    assert again.exit_code == 1
    assert {row["name"]: row["action"] for row in json.loads(again.stdout)["rows"]} == {
        "hourly": "present",
        "late": "keep",
        "nightly": "present",
        "off": "present",
    }


def test_it_refuses_while_the_other_beat_runs_unless_told(app, admin, shell: Shell) -> None:
    app.conf.redbeat_lock_timeout = 20
    save(app, "a", 60, NOW)
    admin.set("redbeat::lock", "x")
    assert "may be running" in shell.ok("migrate", "--from", "redbeat")
    error = shell.error(1, "migrate", "--from", "redbeat", "--apply")
    assert error["kind"] == "SourceAlive"
    assert "stop it first" in error["message"]
    with Client(app) as client:
        assert list(client.list()) == []
        shell("migrate", "--from", "redbeat", "--apply", "--even-if-alive")
        assert [entry.name for entry in client.list()] == ["a"]


def test_a_beat_that_was_started_meanwhile_is_noticed(app, shell: Shell, monkeypatch) -> None:
    save(app, "a", 60, NOW - HOUR)

    def started(*given: Any, **more: Any) -> Migration:
        done = migrated(*given, **more)
        save(app, "a", 60, NOW)
        return done

    monkeypatch.setattr("habeat.cli.migrating.migrated", started)
    done = shell("migrate", "--from", "redbeat", "--apply")
    assert done.exit_code == 1
    assert "it has sent entry 'a' meanwhile; both beats send now: stop it" in done.stdout


def test_slots_until_a_given_time_count_as_sent(app: Celery, shell: Shell) -> None:
    save(app, "a", crontab(), NOW - HOUR)
    until = NOW + HOUR
    given = ("migrate", "--from", "redbeat", "--apply", "--sent-until", until.isoformat())
    assert f"slots until {until} count as sent" in shell.ok(*given)
    with Client(app) as client:
        slot = client.get("a").state.next_slot
        assert slot is not None
        assert until < slot <= until + timedelta(minutes=1)


def test_a_name_of_any_length_keeps_the_table_readable(app: Celery, shell: Shell) -> None:
    save(app, "x" * 100_000, 60, NOW)
    save(app, "a", 60, NOW)
    shown = shell("migrate", "--from", "redbeat").stdout
    assert len(shown) < 2_000


def test_an_entry_that_was_removed_there_since_is_named(app: Celery, shell: Shell) -> None:
    save(app, "a", 60, NOW)
    save(app, "gone", 60, NOW).save()
    shell.ok("migrate", "--from", "redbeat", "--apply")
    redbeat().RedBeatSchedulerEntry.from_key("redbeat:gone", app=app).delete()
    expected = "habeat also fires 1 entry that the other beat lacks: 'gone'"
    assert expected in shell.ok("migrate", "--from", "redbeat", "--apply")


def test_a_switch_by_name_says_which_entries_both_beats_would_send(
    app: Celery, shell: Shell
) -> None:
    app.conf.beat_schedule = {"nightly": {"task": "t", "schedule": crontab(hour=3)}}
    save(app, "a:1", 60, NOW)
    expected = "beat_schedule also has 2 entries without 'a:': both beats send these"
    assert expected in shell.ok("migrate", "--from", "redbeat", "--prefix", "a:")
    assert "beat_schedule also has" not in shell.ok("migrate", "--from", "redbeat")


def test_only_names_with_a_prefix_are_carried(app: Celery, shell: Shell) -> None:
    for name in ("a:1", "a:2", "b:1"):
        save(app, name, 60, NOW)
    shell.ok("migrate", "--from", "redbeat", "--apply", "--prefix", "a:")
    with Client(app) as client:
        assert [entry.name for entry in client.list()] == ["a:1", "a:2"]


@pytest.mark.parametrize(
    "given",
    [
        (),
        ("--from", "cron"),
        ("--from", "redbeat", "--old-prefix", "x"),
        ("--from", "redbeat", "--schedule", "x"),
        ("--from", "prefix"),
        ("--from", "prefix", "--old-prefix", "x", "--prefix", "y"),
        ("--from", "redbeat", "--sent-until", "soon"),
        ("--from", "redbeat", "--sent-until", "2099-11-29T13:00"),
        ("--to", "redbeat", "--sent-until", "2099-11-29T13:00"),
    ],
)
def test_options_that_do_not_fit_are_refused(shell: Shell, given: tuple[str, ...]) -> None:
    shell.error(2, "migrate", *given)


def test_a_source_without_entries_is_an_error(shell: Shell) -> None:
    error = shell.error(1, "migrate", "--from", "redbeat")
    assert error["kind"] == "SourceEmpty"
