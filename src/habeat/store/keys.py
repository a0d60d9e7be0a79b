"""The names of all keys and channels. They share a hash tag, so a Cluster has them in one slot."""

from __future__ import annotations

from habeat.core.destinations import key_base

#: The keys passed to every script, in this order (scripts/common.lua unpacks them).
FIXED = (
    "meta",
    "lease",
    "entries",
    "due",
    "state",
    "paused",
    "quarantine",
    "inflight",
    "dead",
    "ledger",
    "lateness",
    "replicas",
    "seen",
    "untrusted",
    "configs",
    "owned",
    "requests",
    "resume",
    "requests_due",
    "inflight_due",
    "circuits",
    "dead_at",
    "wake",
)


class Keys:
    """The keys under one prefix; `apart` gives a separate set of them, for the script check."""

    def __init__(self, prefix: str, apart: str = "") -> None:
        self.prefix = prefix
        self.base = key_base(prefix) + apart
        self.fixed = tuple(self.base + name for name in FIXED)
        (
            self.meta,
            self.lease,
            self.entries,
            self.due,
            self.state,
            self.paused,
            self.quarantine,
            self.inflight,
            self.dead,
            self.ledger,
            self.lateness,
            self.replicas,
            self.seen,
            self.untrusted,
            self.configs,
            self.owned,
            self.requests,
            self.resume,
            self.requests_due,
            self.inflight_due,
            self.circuits,
            self.dead_at,
            self.wake,
        ) = self.fixed

    @property
    def names(self) -> str:
        """The names of all entries, in order."""
        return f"{self.base}names"

    @property
    def last_records(self) -> str:
        """The id of each entry's newest record in the ledger."""
        return f"{self.base}ledger_last"

    @property
    def changes(self) -> str:
        """The change log: one record for each change of an entry."""
        return f"{self.base}changes"

    @property
    def last_changes(self) -> str:
        """The id of each entry's newest record in the change log."""
        return f"{self.base}changes_last"

    @property
    def events(self) -> str:
        """What happened to the schedule as a whole: changes of leader, outages, losses of data."""
        return f"{self.base}events"

    @property
    def tasks(self) -> str:
        """The tasks that the leader's code registers."""
        return f"{self.base}tasks"

    @property
    def controls(self) -> str:
        """What people ask of the whole schedule: to hand over, to hold slots back."""
        return f"{self.base}controls"

    @property
    def signs(self) -> str:
        """What replicas report of themselves while something is wrong, by nonce."""
        return f"{self.base}signs"

    @property
    def shadow(self) -> str:
        """What a shadow would have sent, and what it saw another beat send, by time."""
        return f"{self.base}shadow"

    @property
    def watched(self) -> str:
        """The periods in which a shadow watched the messages of another beat."""
        return f"{self.base}watched"

    def alive(self, nonce: str) -> str:
        """The channel that a replica is subscribed to while its process lives."""
        return f"{self.base}alive:{nonce}"

    def fired(self, entry: str, slot_ms: int) -> str:
        """Remembers that this slot of the entry was claimed."""
        return f"{self.base}fired:{entry}:{slot_ms}"

    def request(self, identity: str) -> str:
        """Remembers the id of a request, so that the request is made only once."""
        return f"{self.base}request:{identity}"

    def call(self, mark: str) -> str:
        """Remembers that a Client's write was done, or that it must not be done any more."""
        return f"{self.base}call:{mark}"

    def entry_lateness(self, entry: str) -> str:
        """The lateness histogram of one entry."""
        return f"{self.base}lateness:{entry}"

    @property
    def alarmed(self) -> str:
        """The last slot of each entry for which an alarm was raised: it broke its `start_by`."""
        return f"{self.base}alarmed"

    @property
    def outcomes(self) -> str:
        """How many slots of all entries ended with each outcome, besides those sent on time."""
        return f"{self.base}outcomes"

    def entry_outcomes(self, entry: str) -> str:
        """The same for one entry."""
        return f"{self.base}outcomes:{entry}"

    def declared(self, fingerprint: str) -> str:
        """The names that one configuration declares."""
        return f"{self.base}declared:{fingerprint}"
