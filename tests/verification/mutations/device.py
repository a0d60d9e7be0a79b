"""A safety device: a piece of text in src that keeps a promise, and who notices when it is gone."""

from __future__ import annotations

from dataclasses import dataclass

SCRIPTS = "store/scripts"

CLAIM = "tests/integration/scripts/test_claim.py"
INTENTS = "tests/integration/scripts/test_outbox.py"
EXPIRED = "tests/integration/scripts/test_expired.py"
LEASES = "tests/integration/scripts/test_leases.py"
ENTRIES = "tests/integration/scripts/test_entries.py"
CHECKS = "tests/integration/scripts/test_checks.py"
LEASE_CHECKS = "tests/integration/scripts/test_lease_checks.py"
ENTRY_CHECKS = "tests/integration/scripts/test_entry_checks.py"
NAME_INDEX = "tests/integration/test_name_index.py"
BOUNDED = "tests/integration/test_bounded_calls.py"
TOUCHED = "tests/integration/scripts/test_touched.py"
LARGE = "tests/integration/scripts/test_large_definitions.py"
MANY_AT_ONCE = "tests/integration/test_add_many.py"
MANY_NAMED = "tests/integration/test_many.py"
ASYNC = "tests/unit/client/test_async_client.py"
ASYNC_SERVER = "tests/integration/test_async_client.py"
ON_COMMIT = "tests/integration/test_on_commit.py"
SYNC = "tests/integration/test_sync.py"
ROOM = "tests/integration/test_room.py"
GUARD = "tests/unit/client/test_guard.py"
GUARDED = "tests/integration/test_guard.py"
SWAPPING = "tests/integration/test_swapping.py"
MENDING = "tests/integration/scripts/test_mending.py"
BULKHEAD = "tests/unit/engine/test_bulkhead.py"
CODEC = "tests/unit/entries/test_codec.py"
LATENESS = "tests/integration/scripts/test_lateness_counts.py"
CIRCUITS = "tests/integration/scripts/test_circuits.py"
CIRCUITS_OPEN = "tests/unit/engine/test_circuits.py"
DEAD_LETTERS = "tests/integration/test_dead_letters.py"
FAIR_QUEUES = "tests/unit/engine/test_fair_queues.py"
QUEUES = "tests/integration/scripts/test_queues.py"
ELECTION = "tests/unit/engine/test_election.py"
ELECTION_TIMING = "tests/unit/engine/test_election_timing.py"
TRUST = "tests/unit/core/test_lease.py"
LEASE_WATCH = "tests/unit/core/test_lease_watch.py"
SERVER_TIME = "tests/unit/core/test_server_time.py"
CATCHUP = "tests/unit/core/test_catchup.py"
CATCHUP_EDGES = "tests/unit/core/test_catchup_edges.py"
OFFSETS = "tests/unit/core/test_offsets.py"
FIRING = "tests/unit/core/test_firing.py"
TASK_IDS = "tests/unit/core/test_task_ids.py"
LOOP = "tests/unit/engine/test_loop.py"
CONFIRMING = "tests/unit/engine/test_confirming.py"
CONFIRMS = "tests/unit/beat/test_confirms.py"
OUTBOX = "tests/unit/engine/test_outbox.py"
WINDOW = "tests/unit/engine/test_window.py"
PLANNING = "tests/unit/engine/test_planning.py"
DISPATCH = "tests/unit/engine/test_dispatch.py"
REQUESTS = "tests/unit/engine/test_requests.py"
SENDING_TRUST = "tests/unit/engine/test_trust_in_sending.py"
CLAIM_RESULTS = "tests/unit/engine/test_claim_results.py"
BACKLOGS = "tests/unit/engine/test_backlogs.py"
EXPIRY = "tests/unit/engine/test_expiry.py"
ENTRY_OPTIONS = "tests/unit/entries/test_options.py"
AS_CELERY = "tests/unit/beat/test_as_celery_sends.py"
PREFETCH = "tests/unit/engine/test_prefetch.py"
TEMPLATE_CACHE = "tests/unit/beat/test_template_cache.py"
SERIALIZERS = "tests/unit/beat/test_serializers.py"
MESSAGE_EXPIRY = "tests/unit/beat/test_expiry.py"
CHANGES = "tests/unit/entries/test_changes.py"
STOPPING = "tests/unit/beat/test_stopping.py"
UNREGISTERED = "tests/unit/beat/test_unregistered.py"
SHOWN_ENTRIES = "tests/unit/beat/test_shown_entries.py"
SEND_PATH = "tests/unit/beat/test_send_path.py"
OPTIONS = "tests/unit/beat/test_options.py"
RECONCILE = "tests/integration/test_reconcile.py"
HOUSEKEEPING = "tests/unit/beat/test_housekeeping.py"
DIFFERENCES = "tests/integration/test_differences.py"
ADOPTING = "tests/integration/test_adopting.py"
SEEDING = "tests/integration/test_seeding.py"
RECONCILE_CHECKS = "tests/integration/test_reconcile_checks.py"
FOLDS = "tests/unit/schedules/test_gaps_and_folds.py"
DST_YEAR = "tests/unit/schedules/test_dst_year.py"
INTERVAL = "tests/unit/schedules/test_interval.py"
PITFALLS = "tests/unit/schedules/test_pitfalls.py"
HASHED = "tests/unit/schedules/test_cron.py::test_h_is_chosen_by_the_entrys_name"
ONE_BY_ONE = "tests/unit/schedules/test_one_by_one.py"
SCHEDULE = "tests/unit/schedules/test_schedule.py"
CRONTAB = "tests/unit/schedules/test_crontab.py"
SEARCH_BUDGET = "tests/unit/schedules/test_search_budget.py"
CUSTOM_SCHEDULES = "tests/unit/engine/test_custom_schedules.py"
BUILDING = "tests/unit/engine/test_building.py"
KINDS = "tests/unit/beat/test_kinds.py"
SLOWNESS = "tests/unit/core/test_slowness.py"
CODE_TIME = "tests/unit/beat/test_code_time.py"
SCHEDULE_THREADS = "tests/unit/beat/test_schedule_threads.py"
COUNTING = "tests/unit/schedules/test_counting.py"
MIGRATION_PLAN = "tests/unit/migrate/test_plan.py"
MIGRATED = "tests/integration/test_migrating.py"
PICKLED = "tests/unit/migrate/sources/test_pickled.py"
SHELF = "tests/unit/migrate/sources/test_shelf.py"
REDBEAT_DECODED = "tests/unit/migrate/sources/test_redbeat_decode.py"
REDBEAT = "tests/integration/test_migrate_redbeat.py"

#: Which promise a device keeps.
ONCE = "once"
NEVER_LOST = "never lost"


@dataclass(frozen=True)
class Device:
    """Switched off by replacing `old`, which stands exactly once in `file`, by `new`.

    `file` is below src/habeat; `suite` is what pytest runs. `keeps` names the promise
    that depends on it: without it, and without what stands behind it, a slot is sent twice (ONCE)
    or ends neither sent nor in the ledger (NEVER_LOST).
    """

    name: str
    protects: str
    file: str
    old: str
    new: str
    suite: str
    keeps: str = ""
