"""Celery's tests that habeat need not pass, each with its reason.

A name is a test, with its parameters if only those are meant, or a class. `CELERYS` and `INTERNAL`
are no statement about habeat. All others are differences, named in docs/reference/celery.md, which
test_celery_own.py compares.
"""

from __future__ import annotations

from typing import NamedTuple

import celery

CELERYS = "Celery's own code, which habeat uses as it is"
INTERNAL = "how Celery does it"


class Exclusion(NamedTuple):
    """Why a test is excluded: a category or a difference's name, and what the test does."""

    why: str
    because: str


def _each(why: str, because: str, *names: str) -> dict[str, Exclusion]:
    return dict.fromkeys(names, Exclusion(why, because))


_SOLAR = "test_schedules.py::test_solar::"
_SCHEDULE = "test_schedules.py::test_schedule::"
_SHORT = f"{_SCHEDULE}test_next_check_for_short_intervals"
_DST = f"{_SCHEDULE}test_relative_schedule_across_dst"
_PARSER = "test_schedules.py::test_crontab_parser::"
_CRONTAB = "test_schedules.py::test_crontab_is_due::"
_BEAT = "test_beat.py::test_Scheduler::"
_SHELVE = "test_beat.py::test_PersistentScheduler::"
_SHUTDOWN = "test_beat.py::test_SchedulerShutdown::"


def _dst(*cases: str) -> tuple[str, ...]:
    return tuple(f"{_DST}[{case}-{zones}]" for case in cases for zones in ("zoneinfo", "dateutil"))


EXCLUDED: dict[str, Exclusion] = {
    **_each(
        CELERYS,
        "neither schedules nor sends entries",
        "test_beat.py::test_BeatLazyFunc",
        "test_beat.py::test_BeatPidbox",
        "test_beat.py::test_EmbeddedService",
        "test_beat.py::test_Service",
        "test_beat.py::test_beat_nodename",
        "test_beat.py::test_schedule",
    ),
    **_each(
        CELERYS,
        "compares, copies or parses Celery's objects",
        f"{_SCHEDULE}test_ne",
        f"{_SCHEDULE}test_pickle",
        f"{_PARSER}test_range_steps_not_enough",
        f"{_PARSER}test_parse_range_wraps",
        f"{_PARSER}test_expand_cronspec_eats_iterables",
        f"{_PARSER}test_expand_cronspec_invalid_type",
        "test_schedules.py::test_crontab_from_string::test_invalid_crontab_string",
    ),
    **_each(
        INTERNAL,
        "replaces remaining_estimate or the calendar by a mock",
        f"{_SOLAR}test_is_due",
        f"{_SOLAR}test_is_due__not_due",
        f"{_SOLAR}test_remaining_estimate_event_never_happens",
    ),
    **_each(
        INTERNAL,
        "changes the parsed fields of a crontab behind its constructor",
        "test_schedules.py::test_crontab_remaining_estimate"
        "::test_rollover_gives_up_on_invalid_date",
    ),
    **_each(
        INTERNAL, "marked as unstable there", f"{_CRONTAB}test_monthly_moy_execution_is_not_due"
    ),
    **_each(
        INTERNAL,
        "a clock before 1970, which no Redis shows",
        *_dst(
            "hourly-ninety-minute-fall-back",
            "hourly-two-and-half-hours-fall-back",
            "daily-twenty-three-hour-fall-back",
        ),
    ),
    **_each(
        INTERNAL,
        "reads or replaces the heap",
        f"{_BEAT}test_due_tick_returns_delay_when_heap_top_changed",
        f"{_BEAT}test_not_due_top_entry_is_rescheduled_behind_due_entry",
        f"{_BEAT}test_populate_heap",
        f"{_BEAT}test_reheap_skipped_when_is_due_mutates_heap",
        f"{_BEAT}test_tick_survives_entry_failing_in_populate_heap",
        f"{_BEAT}test_tick_uses_fresh_time_when_heap_top_changes",
        f"{_BEAT}test_ticks_microseconds",
        f"{_BEAT}test_ticks_schedule_change",
    ),
    **_each(
        INTERNAL,
        "compares the delay until the next tick to the hundredth of a second",
        f"{_BEAT}test_pending_left_10_milliseconds_tick",
        f"{_BEAT}test_schedule_no_remain",
    ),
    **_each(
        "State in Redis",
        "the shelve file",
        f"{_SHELVE}test_remove_db",
        f"{_SHELVE}test_create_schedule_corrupted",
        f"{_SHELVE}test_create_schedule_corrupted_dbm_error",
        f"{_SHELVE}test_create_schedule_corrupted_pickle_error",
        f"{_SHELVE}test_create_schedule_missing_entries",
        f"{_SHELVE}test_create_schedule_missing_entries_not_logged",
        f"{_SHELVE}test_setup_schedule",
        f"{_SHELVE}test_get_schedule",
        f"{_SHUTDOWN}test_persistent_close_twice_with_real_shelf",
        f"{_SHUTDOWN}test_persistent_close_before_schedule_setup",
        f"{_SHUTDOWN}test_persistent_close_releases_connection_when_store_close_fails",
        f"{_SHUTDOWN}test_close_releases_connection_and_channel[PersistentScheduler]",
        f"{_SHUTDOWN}test_close_does_not_create_broker_resources[PersistentScheduler]",
        f"{_SHUTDOWN}test_close_releases_connection_after_producer_creation_fails"
        "[PersistentScheduler]",
        f"{_SHUTDOWN}test_close_releases_resources_when_sync_fails[PersistentScheduler]",
        f"{_SHUTDOWN}test_close_ignores_broker_errors[PersistentScheduler-connection_errors]",
        f"{_SHUTDOWN}test_close_ignores_broker_errors[PersistentScheduler-channel_errors]",
        f"{_SHUTDOWN}test_close_prioritizes_sync_over_unexpected_release_error"
        "[PersistentScheduler-False]",
        f"{_SHUTDOWN}test_close_prioritizes_sync_over_unexpected_release_error"
        "[PersistentScheduler-True]",
    ),
    **_each(
        "State in Redis",
        "sync is never called",
        f"{_BEAT}test_should_sync_increments_sync_every_counter",
        f"{_BEAT}test_sync_task_counter_resets_on_do_sync",
    ),
    **_each(
        "The clock",
        "gives the entry a last run of years ago, or moves app.now or nowfun between two ticks",
        f"{_BEAT}test_tick_daily_relative_spring_forward",
        f"{_BEAT}test_tick_dispatches_missed_cron_on_deadline_boundary_non_uniform",
        f"{_BEAT}test_tick_dispatches_missed_cron_within_deadline_non_uniform",
        f"{_BEAT}test_tick_solar_across_dst",
    ),
    **_each(
        "A schedule or message that fails",
        "expects the log, or the delay, of Celery's retry",
        f"{_BEAT}test_due_tick_SchedulingError",
        f"{_BEAT}test_tick_survives_entry_failing_when_due",
    ),
    **_each(
        "What an entry may be", "sets a schedule that has no entries", f"{_BEAT}test_set_schedule"
    ),
    **_each(
        "What an entry may be",
        "a period of zero, or a negative one",
        *(
            f"{_SHORT}[{period}-{relative}]"
            for period in ("zero", "negative")
            for relative in (True, False)
        ),
    ),
    **_each(
        "What an entry may be",
        "Celery's solar needs ephem to be made, habeat's to be computed",
        "test_schedules.py::test_solar_without_ephem",
    ),
    **_each(
        "Intervals",
        "counts from a run that was late",
        f"{_SCHEDULE}test_next_check_realigns_after_late_run[False-3600]",
    ),
    **_each(
        "Relative intervals",
        "rounds a period of many units, or of less than a second, after the last run",
        f"{_SHORT}[subsecond-True]",
        *_dst("two-days-fall-back", "two-hours-after-repeated-period"),
    ),
    **_each(
        "Clock changes",
        "a midnight that comes twice, or a change of half an hour",
        *_dst(
            "daily-second-midnight",
            "daily-three-hours-fall-back",
            "hourly-half-hour-spring-forward",
        ),
    ),
}

if tuple(map(int, celery.__version__.split(".")[:2])) < (5, 7):
    EXCLUDED |= {
        **_each(
            INTERNAL,
            "compares the delay until the next tick to the hundredth of a second",
            f"{_BEAT}test_pending_tick",
            f"{_BEAT}test_ticks",
        ),
        **_each(
            "What an entry may be",
            "a date that never comes, which Celery refuses from 5.7 on",
            "test_schedules.py::test_crontab_remaining_estimate::test_invalid_specification",
        ),
    }


def exclusion_of(test: str) -> Exclusion | None:
    """Why a test is excluded; None if habeat must pass it."""
    function = test.partition("[")[0]
    for name in (test, function, function.rpartition("::")[0]):
        if name in EXCLUDED:
            return EXCLUDED[name]
    return None
