"""The checks that run once, when Redis first answers, before this replica may lead.

An ``allkeys-*`` memory policy evicts entries: it is refused at the first installation and logged as
an error later. A ``volatile-*`` policy can evict the lease and the keys of recent firings, which
costs a change of leader and nothing else, so it is logged as a warning. The policy is read from
INFO, because managed servers have no CONFIG. It can be changed while beat runs, so it is read again
once a minute, and a change is logged.

Then every script is run against keys of its own, to see whether the user may run it.
"""

from __future__ import annotations

import logging

from habeat.core.events import EventCode, Level
from habeat.log import log_event
from habeat.ports import Clock, StoreUnavailable
from habeat.store.calling import Caller
from habeat.store.connection import Connections
from habeat.store.script_check import check_scripts

log = logging.getLogger("habeat")

LOOK_EVERY_MS = 60_000
#: What a memory policy means, indexed by how dangerous it is (`_danger`).
MEANING = (
    "nothing is evicted",
    "when memory is full, Redis may evict the lease (a change of leader) and the keys of recent "
    "firings; entries are safe",
    "when memory is full, Redis may evict any key, entries included; set it to noeviction",
)


class Preflight:
    """Runs the checks; `done` once they have completed.

    `barred` says why this replica must not lead; "" if it may, and until the first result.
    """

    def __init__(self, connections: Connections, caller: Caller, nonce: str, clock: Clock) -> None:
        self._connections = connections
        self._caller = caller
        self._nonce = nonce
        self._clock = clock
        self.done = False
        self.barred = ""
        self._known_policy = ""
        self._looked_ms = 0

    def run(self) -> str:
        """Why this replica must not lead; "" if it may. After StoreUnavailable, call it again."""
        self.barred = self._memory_policy() or self._permissions()
        self.done = True
        return self.barred

    # -- memory -----------------------------------------------------------------------------

    def look_again(self) -> None:
        """Log a memory policy that was changed while this replica runs; cheap, never raises."""
        now_ms = self._clock.monotonic_us() // 1_000
        if now_ms - self._looked_ms < LOOK_EVERY_MS:
            return
        self._looked_ms = now_ms
        try:
            policy = self._policy()
        except StoreUnavailable:
            return
        before, self._known_policy = self._known_policy, policy
        if not policy or policy == before:
            return
        danger = _danger(policy)
        log_event(
            EventCode.MEMORY_POLICY,
            "habeat: maxmemory-policy was changed from %s to %s: %s",
            before or "unknown",
            policy,
            MEANING[danger],
            level=Level.ERROR if danger == 2 else None,
            ended=danger == 0,
        )

    def _memory_policy(self) -> str:
        self._looked_ms = self._clock.monotonic_us() // 1_000
        self._known_policy = policy = self._policy()
        if policy.startswith("allkeys-"):
            sentence = (
                f"Redis evicts any key when its memory is full (maxmemory-policy {policy}), "
                "entries included: set noeviction, or use a separate Redis for the schedule"
            )
            if not self._installed():
                return sentence
            log_event(EventCode.MEMORY_POLICY, "habeat: %s", sentence, level=Level.ERROR)
        elif policy.startswith("volatile-"):
            log_event(
                EventCode.MEMORY_POLICY,
                "habeat: maxmemory-policy is %s: when memory is full, Redis may evict the lease "
                "(a change of leader) and the keys of recent firings; entries are safe",
                policy,
            )
        return ""

    def _policy(self) -> str:
        try:
            info = self._caller.do(lambda client: client.info("memory"))
        except StoreUnavailable as error:
            if error.fault != "denied":
                raise
            log.info("habeat: the Redis user may not run INFO; the memory policy is unknown")
            return ""
        # A Cluster client returns one INFO per node.
        nodes = [info, *(node for node in info.values() if isinstance(node, dict))]
        policies = [str(node["maxmemory_policy"]) for node in nodes if "maxmemory_policy" in node]
        return max(policies, key=_danger, default="")

    def _installed(self) -> bool:
        meta = self._caller.keys.meta
        return bool(self._caller.do(lambda client: client.exists(meta)))

    # -- permissions ------------------------------------------------------------------------

    def _permissions(self) -> str:
        try:
            check_scripts(self._connections, self._caller.keys.prefix, self._nonce, self._clock)
        except StoreUnavailable as error:
            if error.fault != "denied":
                raise
            return f"the Redis user lacks a permission that habeat needs ({error})"
        return ""


def _danger(policy: str) -> int:
    return 2 if policy.startswith("allkeys-") else 1 if policy.startswith("volatile-") else 0
