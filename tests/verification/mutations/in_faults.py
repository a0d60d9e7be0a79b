"""The devices that keep one entry's failure from the others: whose fault is it, whose key is it."""

from __future__ import annotations

from tests.verification.mutations.device import (
    CLAIM,
    DISPATCH,
    NEVER_LOST,
    ONCE,
    SCRIPTS,
    Device,
)

_BLAME = "tests/unit/beat/test_blame.py"
_WHOSE = "tests/unit/beat/test_whose_fault.py"
_OWN_KEYS = "tests/unit/beat/test_own_keys.py"
_DESTINATIONS = "tests/unit/core/test_destinations.py"
_IDENTITY = "tests/unit/core/test_identity.py"
_HEALTH = "tests/unit/core/test_health.py"
_PUBSUB = "tests/integration/test_pubsub_refused.py"

ALL = [
    Device(
        "blame: the server's own words",
        "A full or read-only Redis is no entry's fault",
        "beat/broker/blame.py",
        "    if fault in _SERVER_SAYS or str",
        "    if str",
        _BLAME,
    ),
    Device(
        "blame: another program's causes",
        "User code that fails while it handles a lost connection of its own has failed itself",
        "beat/broker/blame.py",
        "    while isinstance(error, (OperationalError, KombuError)) and id(error) not in seen:",
        "    while id(error) not in seen:",
        _BLAME,
    ),
    Device(
        "blame: a probe decides",
        "A broker that is gone is not taken for an entry's mistake",
        "beat/broker/broker.py",
        "        except BrokerUnavailable:\n            return BrokerUnavailable(text_of(error))\n",
        "        except BrokerUnavailable:\n            pass\n",
        _WHOSE,
    ),
    Device(
        "blame: a mistake needs no probe",
        "A misspelt option does not stop the others",
        "beat/broker/broker.py",
        "        if found is Blame.ENTRY:\n            return PublishRefused(text_of(error))\n",
        "        if found is Blame.ENTRY:\n            return BrokerUnavailable(text_of(error))\n",
        _WHOSE,
    ),
    Device(
        "rendering: SystemExit",
        "What an entry's code raises does not end beat",
        "beat/message/record.py",
        "        except BaseException as error:\n            # SystemExit",
        "        except Exception as error:\n            # SystemExit",
        _WHOSE,
    ),
    Device(
        "rendering: a signal's exit",
        "A second SIGTERM ends beat wherever it interrupts",
        "beat/message/record.py",
        "            if self._leaving(error):\n",
        "            if False:\n",
        _WHOSE,
    ),
    Device(
        "publishing: no queue",
        "A message that kombu drops without a word is not called sent",
        "beat/broker/broker.py",
        "        if is_unrouted(delivered):\n",
        "        if False:\n",
        _WHOSE,
        keeps=NEVER_LOST,
    ),
    Device(
        "claims: the server's own words",
        "A claim that a full Redis refuses is not recorded as failed",
        "engine/claim_results.py",
        "            if sign in word:\n",
        "            if False:\n",
        DISPATCH,
    ),
    Device(
        "claims: a refusal is over when one is taken",
        "An entry that Redis refuses is recorded as failed, however many of its slots are due",
        "engine/claim_results.py",
        "        if accounted:",
        "        if True:",
        DISPATCH,
    ),
    Device(
        "claim: no key of ours",
        "No message is written into the schedule's own state",
        f"{SCRIPTS}/claim.lua",
        "  if leads_to_ours(firing) then",
        "  if false then",
        CLAIM,
    ),
    Device(
        "publishing: no key of ours",
        "The same, by the outbox",
        "beat/message/unrouted.py",
        "        if args and str(args[0]).startswith(own):",
        "        if False:",
        _OWN_KEYS,
    ),
    Device(
        "declaring: no key of ours",
        "The same, of the queue's declaration",
        "beat/broker/broker.py",
        '        check_declared(arguments["declare"], self.own_names)\n',
        "",
        _OWN_KEYS,
    ),
    Device(
        "adding: no key of ours",
        "An entry that would write into the schedule's own state is refused",
        "core/destinations.py",
        "        if name.startswith(own):",
        "        if False:",
        _DESTINATIONS,
    ),
    Device(
        "identity: separators",
        "No two firings share a key or a task id",
        "core/firing.py",
        '{escaped(self.request)}"',
        '{self.request}"',
        _IDENTITY,
        keeps=ONCE,
    ),
    Device(
        "claim: separators",
        "A backfill is not taken for another entry's slot",
        f"{SCRIPTS}/claim.lua",
        "'#' .. escaped(request)\n",
        "'#' .. request\n",
        CLAIM,
        keeps=ONCE,
    ),
    Device(
        "pub/sub: commands go on",
        "A pub/sub connection that cannot be opened costs no dispatch",
        "store/pubsub.py",
        "        except REDIS_ERRORS as error:\n            self._not_opened(error)\n",
        "        except REDIS_ERRORS as error:\n            self._connections.reset()\n",
        _PUBSUB,
    ),
    Device(
        "health: failures",
        "`health` names an entry whose slot failed",
        "core/health.py",
        "        if each.outcome is Outcome.FAILED and lately and",
        "        if False and",
        _HEALTH,
    ),
]
