"""Bugs planted on purpose: a simulation that cannot fail proves nothing.

Each is a device of the protocol switched off or got wrong, in the text of a script or in Python.
`caught` says within how many seeds the simulation notices; `test_planted.py` holds it to that
for the important ones, ``python -m tests.verification.simulation planted`` tries all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import habeat.store.scripting as scripting
from habeat.beat.housekeeping import Replica
from habeat.core import catchup
from habeat.core.data_loss import Knowledge
from habeat.core.lease import Trust
from habeat.engine import plan
from habeat.engine.election import Election
from habeat.engine.loop import Engine
from habeat.engine.outbox import OutboxClaims, Sender
from habeat.engine.recovery import Recovery
from habeat.entries import changes
from habeat.ports import Departed
from habeat.store.dispatch import RedisDispatchStore
from tests.verification.simulation import lives
from tests.verification.simulation.plan import Plan, plan_of
from tests.verification.simulation.run import Simulation


@dataclass(frozen=True)
class Bug:
    """What is wrong: (file, text, instead) in scripts, (owner, name, wrong) in Python."""

    name: str
    texts: tuple[tuple[str, str, str], ...] = ()
    patches: tuple[tuple[Any, str, Any], ...] = ()
    #: Whether the dispatch has to be atomic (True) or the outbox (False) for it to matter.
    atomic: bool | None = None
    #: The life in which it shows, where drawn seeds hardly come to that.
    life: Callable[[int], Plan] | None = None

    def plan(self, seed: int) -> Plan:
        """What is run to see it."""
        return self.life(seed) if self.life is not None else plan_of(seed, self.atomic)


@contextmanager
def planted(bug: Bug) -> Iterator[None]:
    """With the bug in place."""
    whole = scripting.source

    def source(name: str) -> str:
        text = whole(name)
        for file, old, new in bug.texts:
            if file == name:
                assert old in text, f"{bug.name}: {file} has no {old!r}"
                text = text.replace(old, new)
        return text

    with ExitStack() as stack:
        if bug.texts:
            stack.enter_context(mock.patch.object(scripting, "source", source))
        for owner, name, wrong in bug.patches:
            stack.enter_context(mock.patch.object(owner, name, wrong))
        scripting.script.cache_clear()
        try:
            yield
        finally:
            scripting.script.cache_clear()


def caught(bug: Bug, most: int, first: int = 0) -> tuple[int, list[str]]:
    """After how many seeds it is noticed, and the problems; (0, []) if not within `most`."""
    with planted(bug):
        for number in range(most):
            outcome = Simulation(bug.plan(first + number)).run()
            if outcome.problems:
                return number + 1, outcome.problems
    return 0, []


# -- wrong pieces of Python ---------------------------------------------------------------------


def _no_end(self: Trust, now_ms: int) -> int:
    return self.ttl_ms


def _too_long(self: Trust, now_ms: int) -> int:
    return max(0, self.attempt_ms + 2 * self.ttl_ms - now_ms)


def _wrong_way_round(self: Trust, now_ms: int) -> int:
    return max(0, now_ms - self.attempt_ms) if now_ms > self.until_ms else self.ttl_ms


def _nothing(*_: object) -> None:
    return None


def _nothing_lost(_stored: object, _now_ms: int, _act: str) -> None:
    return None


_added = changes._added


def _added_early(stored: Any, entry: Any, definition: bytes, now_ms: int) -> Any:
    return _added(stored, entry, definition, now_ms - 3_000)


def _sends_again(mark: Callable[..., Any]) -> Callable[..., Any]:
    def wrong(*args: Any) -> Any:
        reply = mark(*args)
        return 1 if reply == 0 else reply

    return wrong


_judged = OutboxClaims._judged


def _duplicates_are_ok(self: Any, lead: Any, batch: Any, reply: Any) -> Any:
    words = ["ok" if word == "duplicate" else word for word in reply.words]
    return _judged(self, lead, batch, replace(reply, words=words))


def _unsettled(self: Sender, lead: Any) -> None:
    self._departed = []


def _forgotten(self: Sender) -> None:
    """A sent message counts as settled before the answer has been read."""
    settling, self._settling = self._settling, None
    if settling is not None:
        del self._departed[: self._asked]
        settling.result()


def _taken_for_sent(self: Sender, lead: Any, packet: Any) -> None:
    """Ignores the broker's answer, and whether there is one."""
    packet.handed.answers(1_000)
    for each in packet.parcels:
        self._departed.append(Departed(each.entry, each.identity, lead.now_ms(), each.attempt))


def _as_large_as_the_backlog(self: Sender, waiting: int, most: int) -> int:
    return waiting


_run = Recovery.run


def _recovers_once(self: Recovery, lead: Any) -> int:
    """Recovers only under a new lease, and leaves its own stale intents."""
    if lead.token == self._under:
        return int(lead.now_ms()) + 1_000
    return _run(self, lead)


def _run_by_the_clock(self: Recovery, lead: Any) -> int:
    if lead.token == self._under and lead.now_ms() < self._again_ms:
        return self._again_ms
    return _run(self, lead)


class _AllIsLost(catchup._Planner):
    """Treats every third slot as lost with the history."""

    def step(self, cursor_ms: int, slot_ms: int) -> Any:
        if slot_ms // 100 % 3 == 0:
            return self._missed(self._count(cursor_ms, slot_ms), catchup.HISTORY_LOST)
        return super().step(cursor_ms, slot_ms)


class _AllOfTheOutage(catchup._Planner):
    """Slots that fell due after the last answer count as lost, up to the declaration."""

    def __init__(self, *args: Any, now_ms: int, loss: Any, **given: Any) -> None:
        super().__init__(*args, now_ms=now_ms, loss=loss, **given)
        self._lost_until_ms = min(loss.declared_ms, now_ms)


class _ShortGrace(catchup._Planner):
    """A grace that ends a little too early."""

    def __init__(self, *args: Any, **given: Any) -> None:
        super().__init__(*args, **given)
        self._last_misfire_ms += 50


class _NewestToo(catchup._Planner):
    """No misfire fires, not even the newest."""

    def _latest(self, cursor_ms: int, slot_ms: int) -> Any:
        return self._missed(self._misfires(cursor_ms, slot_ms), "misfire: latest")


class _OneTooMany(catchup._Planner):
    """A run of misses that takes the first slot within the grace with it."""

    def _missed(self, run: Any, reason: str, *outcome: Any) -> Any:
        following_ms = self._entry.next_slot_ms(run.last_ms)
        if reason != catchup.HISTORY_LOST and following_ms is not None:
            run = replace(run, last_ms=following_ms, count=run.count + 1)
        return super()._missed(run, reason, *outcome)


def _expired_by_slot(entry: Any, firing: Any, now_ms: int) -> bool:
    deadline_ms = entry.deadline_ms
    return deadline_ms is not None and firing.slot_ms + deadline_ms <= now_ms


_resume = changes.resume


def _resumed_now(_self: Any, lead: Any, names: Any) -> None:
    """As shipped, but for the moment from which an entry continues."""
    snapshot = _self._entry_store.read(names)
    for stored in snapshot.stored:
        edit = changes.resume(stored, snapshot.now_ms)
        if edit is not None:
            lead.call(lambda fence, edit=edit: _self._resumed(edit.write, fence))


def _resumed_late(stored: Any, now_ms: int, *, catch_up: bool = False) -> Any:
    """Its slots are counted up to now, and it continues a second later."""
    edit = _resume(stored, now_ms, catch_up=catch_up)
    if edit is None or edit.write.position is None or catch_up:
        return edit
    later = changes.position_after(edit.entry, now_ms + 1_000)
    return replace(edit, write=replace(edit.write, position=later))


def _due_late(write: Callable[..., Any]) -> Callable[..., Any]:
    def wrong(entry: Any, after_ms: int) -> Any:
        position = write(entry, after_ms)
        return (
            position
            if position.due_ms is None
            else replace(position, due_ms=position.due_ms + 5_000)
        )

    return wrong


_concluded = Election.concluded


def _anchored_when_read(self: Election, reply: Any, attempt: Any) -> Any:
    return _concluded(self, reply, replace(attempt, at_ms=self._now_ms()))


def _forgets_what_left(self: Sender) -> None:
    settling, self._settling = self._settling, None
    if settling is not None:
        del self._departed[: self._asked]
        settling.result()


_run_copied = RedisDispatchStore._run_copied


def _unwaited(*names: str) -> Callable[..., Any]:
    def wrong(self: Any, name: str, *words: Any) -> Any:
        if name in names:
            return self._caller.run(name, *words)
        return _run_copied(self, name, *words)

    return wrong


class _KeepsOneLess(catchup._Planner):
    """The oldest of the misfires that should fire is missed."""

    def _all(self, cursor_ms: int, slot_ms: int) -> Any:
        limit = max(0, self._policies.misfire_limit - 1)
        self._policies = replace(self._policies, misfire_limit=limit)
        return super()._all(cursor_ms, slot_ms)


_TOKEN = ("claim.lua", "refusal(token, ARGV[3])", "refusal(redis.call('GET', LEASE), ARGV[3])")
_PUSH = "  if atomic then\n    push_all(ready)\n  end\n"
_WAVE_ENDS = "      end\n    end\n  end\nend\n\nlocal reply, wave"
_BEHIND = "  if tonumber(firing.slot) <= state.cursor then"
_PLANNED = "\n      or state.cursor ~= tonumber(firing.cursor) then\n    return 'replan'"
_RESTAMPED = (
    "      redis.call('HSET', INFLIGHT, field,\n"
    "        table.concat({token, attempts, effective, kind, message}, '\\n'))"
)
_HEARTBEAT = "if cause ~= 'wedged' and (heartbeat or '0') ~= ARGV[11] then"

BUGS = (
    Bug("claim: no token check", (_TOKEN,)),
    Bug(
        "claim: no comparison of the planned cursor",
        (("claim.lua", _PLANNED, " then\n    return 'replan'"),),
    ),
    Bug(
        "claim: slots behind the cursor are not duplicates",
        (("claim.lua", _BEHIND, "  if false then"),),
    ),
    Bug(
        "claim: no cursor compared at all",
        (
            ("claim.lua", _BEHIND, "  if false then"),
            ("claim.lua", _PLANNED, " then\n    return 'replan'"),
        ),
    ),
    Bug(
        "claim: neither token nor planned cursor",
        (_TOKEN, ("claim.lua", _PLANNED, " then\n    return 'replan'")),
    ),
    Bug(
        "claim: neither cursor nor due compared",
        (
            ("claim.lua", _BEHIND, "  if false then"),
            ("claim.lua", _PLANNED, " then\n    return 'replan'"),
            ("claim.lua", " or not due or tonumber(due) ~= tonumber(firing.due)", ""),
        ),
    ),
    Bug(
        "claim: neither cursor, due nor the (entry, slot) key compared",
        (
            ("claim.lua", _BEHIND, "  if false then"),
            ("claim.lua", _PLANNED, " then\n    return 'replan'"),
            ("claim.lua", " or not due or tonumber(due) ~= tonumber(firing.due)", ""),
            ("claim.lua", "return fired and 'suppress' or 'ok'", "return 'ok'"),
        ),
    ),
    Bug(
        "claim: the definition is not compared",
        (("claim.lua", "redis.sha1hex(raw) ~= firing.digest or ", ""),),
    ),
    Bug(
        "claim: the push comes last",
        (
            ("claim.lua", _PUSH, ""),
            (
                "claim.lua",
                _WAVE_ENDS,
                _WAVE_ENDS.replace("  end\nend\n\n", "  end\n" + _PUSH + "end\n\n"),
            ),
        ),
        atomic=True,
    ),
    Bug(
        "claim: no early check",
        (
            (
                "claim.lua",
                "  if NOW < tonumber(firing.effective) then\n    return 'early'\n  end\n",
                "",
            ),
        ),
    ),
    Bug("claim: a request is not stepped", (("claim.lua", "    step_request(firing)\n", ""),)),
    Bug(
        "claim: the cursor is not moved",
        (("claim.lua", "    move_on(firing, firing.state, true)\n", ""),),
    ),
    Bug(
        "claim: the intent is not kept",
        (("claim.lua", "    keep_intent(firing)\n", "    mark_fired(firing, 'inflight')\n"),),
        atomic=False,
    ),
    Bug(
        "fence: no script compares the token",
        (("common.lua", "  if holder ~= token then\n", "  if false then\n"),),
    ),
    Bug(
        "steal: recovery does not wait for the old trust",
        (("steal.lua", "distrust(holder, span_ms)\n", ""),),
        atomic=False,
    ),
    Bug(
        "recover: does not wait for the old trust",
        (("recover.lua", "elseif waits[owner] then", "elseif false then"),),
        atomic=False,
    ),
    Bug(
        "recover: counts the attempt",
        (
            (
                "recover.lua",
                "table.concat({token, attempts, effective",
                "table.concat({token, int(tonumber(attempts) + 1), effective",
            ),
        ),
        atomic=False,
    ),
    Bug(
        "recover: loses the intent",
        (
            (
                "recover.lua",
                _RESTAMPED,
                "      redis.call('HDEL', INFLIGHT, field)",
            ),
        ),
        atomic=False,
    ),
    Bug(
        "recover: does not restamp",
        (("recover.lua", "    if owner ~= token then\n", "    if false then\n"),),
        atomic=False,
    ),
    Bug("recovery: never", patches=((Engine, "_recover", _nothing),), atomic=False),
    Bug("recovery: not of its own", patches=((Recovery, "run", _recovers_once),), atomic=False),
    Bug(
        "recovery: sends what is settled",
        patches=((RedisDispatchStore, "mark", _sends_again(RedisDispatchStore.mark)),),
        atomic=False,
    ),
    Bug(
        "mark: no owner compared",
        (("mark.lua", "if owner ~= token then", "if false then"),),
        atomic=False,
    ),
    Bug(
        "mark: no cap",
        (
            (
                "mark.lua",
                "if ARGV[6] ~= '' or attempts > tonumber(ARGV[5]) then",
                "if ARGV[6] ~= '' then",
            ),
        ),
        atomic=False,
    ),
    Bug(
        "mark: at most once is repeated",
        (("mark.lua", "if ARGV[6] ~= '' or attempts", "if attempts"),),
        atomic=False,
    ),
    Bug(
        "mark: does not count",
        (("mark.lua", "attempts = tonumber(attempts) + 1", "attempts = tonumber(attempts)"),),
        atomic=False,
    ),
    Bug(
        "settle: expired is late",
        (("settle.lua", "has_expired(expiry_of(rest or ''), tonumber(left))", "false"),),
        atomic=False,
    ),
    Bug(
        "claim: expired is sent",
        (("claim.lua", "has_expired(firing.expires, NOW)", "false"),),
        atomic=True,
    ),
    Bug(
        "settle: the intent stays",
        (("common.lua", "  redis.call('HDEL', INFLIGHT, field)\n", ""),),
        atomic=False,
    ),
    Bug(
        "settle: fenced",
        (
            (
                "settle.lua",
                "local settled = 0\n",
                "local settled = 0\nif redis.call('GET', LEASE) ~= token then return 0 end\n",
            ),
        ),
        atomic=False,
    ),
    Bug(
        "settle: counted although it was gone",
        (("settle.lua", "  if not raw then\n", "  if not raw then\n    settled = settled + 1\n"),),
        atomic=False,
    ),
    Bug(
        "settle: never",
        patches=((Sender, "settle", _unsettled), (Sender, "_settle_soon", _unsettled)),
        atomic=False,
    ),
    Bug("trust: it never ends", patches=((Trust, "left_ms", _no_end),), atomic=False),
    Bug("trust: twice the TTL", patches=((Trust, "left_ms", _too_long),), atomic=False),
    Bug(
        "trust: compared the wrong way round",
        patches=((Trust, "left_ms", _wrong_way_round),),
        atomic=False,
    ),
    Bug(
        "outbox: a duplicate is sent",
        patches=((OutboxClaims, "_judged", _duplicates_are_ok),),
        atomic=False,
    ),
    Bug(
        "outbox: settled at the end of a turn",
        patches=((Sender, "_settle_soon", _nothing),),
        atomic=False,
    ),
    Bug(
        "outbox: packets without a bound",
        patches=((Sender, "_size", _as_large_as_the_backlog),),
        atomic=False,
    ),
    Bug(
        "outbox: taken for sent whatever the broker answers",
        patches=((Sender, "_take", _taken_for_sent),),
        atomic=False,
    ),
    Bug(
        "outbox: forgotten before the settling is answered",
        patches=((Sender, "_heard", _forgotten),),
        atomic=False,
    ),
    Bug(
        "release: no comparison",
        (
            (
                "release.lua",
                "if ARGV[1] == '' or redis.call('GET', LEASE) ~= ARGV[1] then",
                "if ARGV[1] == '' then",
            ),
        ),
    ),
    Bug("steal: no comparison of the heartbeat", (("steal.lua", _HEARTBEAT, "if false then"),)),
    Bug(
        "steal: no comparison of the holder",
        (("steal.lua", "if holder ~= seen then", "if false then"),),
    ),
    Bug(
        "steal: listeners are not read again",
        (("steal.lua", "if theirs ~= 0 or not ours or ours < 1 then", "if false then"),),
    ),
    Bug(
        "lead: the epoch starts again",
        (("leadership.lua", "int(math.max(last + 1, NOW, known.epoch + 1))", "int(last + 1)"),),
    ),
    Bug(
        "lead: a loss of data is not noticed",
        (
            (
                "leadership.lua",
                "if timeline == 'emptied' or timeline == 'restored' then",
                "if timeline == 'emptied' then",
            ),
        ),
    ),
    Bug(
        "skip: no cursor compared",
        (("skip.lua", "\n      or state.cursor ~= tonumber(cursor) then", " then"),),
    ),
    Bug(
        "skip: no record",
        (
            (
                "skip.lua",
                "  record(name, first, outcome, reason, count, new_cursor, token, 0, 0)\n",
                "",
            ),
        ),
    ),
    Bug(
        "write: no cursor compared",
        (
            (
                "write.lua",
                "  return cursor ~= '' and (not state or int(state.cursor) ~= cursor)",
                "  return false",
            ),
        ),
    ),
    Bug(
        "write: no definition compared",
        (("write.lua", "if digest_of(raw) ~= digest then", "if false then"),),
    ),
    Bug(
        "write: an edit of a paused entry makes it due",
        (("write.lua", "redis.call('HEXISTS', PAUSED, name) == 1 and '' or due", "due"),),
    ),
    Bug(
        "steal: neither the holder nor the heartbeat compared",
        (
            ("steal.lua", "if holder ~= seen then", "if false then"),
            ("steal.lua", _HEARTBEAT, "if false then"),
        ),
    ),
    Bug(
        "acquire: the last leader is not distrusted",
        (("acquire.lua", "if leader and (not over", "if false and (not over"),),
        atomic=False,
    ),
    Bug(
        "recover: waits longer than the span if the clock stepped back",
        (("recover.lua", "if span and ends - NOW > span then", "if false then"),),
        atomic=False,
    ),
    Bug(
        "recovery: waits for a clock that stepped back",
        patches=((Recovery, "run", _run_by_the_clock),),
        atomic=False,
    ),
    Bug(
        "lead: the heartbeats in its answers are not kept",
        patches=((Knowledge, "counted", _nothing),),
    ),
    Bug(
        "lead: a snapshot of an older cluster is believed",
        (
            (
                "leadership.lua",
                "if tonumber(epoch or '0') < known.epoch\n      or cluster == known.cluster and",
                "if cluster == known.cluster and",
            ),
        ),
    ),
    Bug(
        "skip: neither the cursor nor due compared",
        (
            ("skip.lua", "\n      or state.cursor ~= tonumber(cursor) then", " then"),
            ("skip.lua", " or not score or tonumber(score) ~= tonumber(due)", ""),
        ),
    ),
    Bug("remove: no record", (("remove.lua", "  if count ~= '0' then", "  if false then"),)),
    Bug("edit: due slots are dropped", patches=((changes, "_lost", _nothing_lost),)),
    Bug("reseed: slots before the loss", patches=((changes, "_added", _added_early),)),
    Bug("catch-up: lost without a loss", patches=((catchup, "_Planner", _AllIsLost),)),
    Bug(
        "tick: declares a loss that there was not",
        (
            (
                "tick.lua",
                "if lost_after ~= '' then",
                "if heartbeat % 7 == 0 then\n  lost_after = '0'",
            ),
        ),
    ),
    Bug(
        "catch-up: all of an outage is lost",
        patches=((catchup, "_Planner", _AllOfTheOutage),),
        life=lives.fails_over,
    ),
    Bug("catch-up: the grace is too short", patches=((catchup, "_Planner", _ShortGrace),)),
    Bug("catch-up: not even the newest", patches=((catchup, "_Planner", _NewestToo),)),
    Bug("catch-up: a run one slot too long", patches=((catchup, "_Planner", _OneTooMany),)),
    Bug("expired: by the slot", patches=((plan, "has_expired", _expired_by_slot),)),
    Bug("resume: at now, not at the pause's end", patches=((Replica, "resume", _resumed_now),)),
    Bug("resume: loses a slot", patches=((changes, "resume", _resumed_late),)),
    Bug("resume: never", patches=((Replica, "resume", _nothing),)),
    Bug(
        "edit: due index written wrong",
        patches=((changes, "position_after", _due_late(changes.position_after)),),
    ),
    Bug(
        "claim: the due index loses what it has claimed",
        (
            (
                "claim.lua",
                "  write_due(firing.name, firing.next_due)\n",
                "  write_due(firing.name, '')\n",
            ),
        ),
    ),
    Bug(
        "skip: an entry is due no more",
        (("skip.lua", "  write_due(name, next_due)\n", "  write_due(name, '')\n"),),
    ),
    Bug(
        "release: no standby is woken",
        (("release.lua", "wake('released')\n", ""),),
        life=lives.stops,
    ),
    Bug(
        "trust: anchored when the answer is read",
        patches=((Election, "concluded", _anchored_when_read),),
    ),
    Bug(
        "settle: what left is forgotten when the answer is lost",
        patches=((Sender, "_heard", _forgets_what_left),),
        atomic=False,
        life=lives.settling_lost,
    ),
    Bug(
        "wait: not after a claim",
        patches=((RedisDispatchStore, "_run_copied", _unwaited("claim")),),
        atomic=False,
        life=lives.fails_over,
    ),
    Bug(
        "wait: not before a resend",
        patches=((RedisDispatchStore, "_run_copied", _unwaited("recover", "mark")),),
        atomic=False,
        life=lives.killed_unwaited,
    ),
    Bug(
        "fence: no script compares what its caller knows",
        (("common.lua", "if mine < tonumber(heartbeat) then", "if false then"),),
        life=lives.restores,
    ),
    Bug("catch-up: one less than the limit", patches=((catchup, "_Planner", _KeepsOneLess),)),
    Bug(
        "settle: recorded twice",
        (
            (
                "settle.lua",
                "  if not expired and not by_hand(identity) then\n",
                "  record(name, slot, 'sent', reason, 1, slot, token, int(late), attempt)\n"
                "  if not expired and not by_hand(identity) then\n",
            ),
        ),
        atomic=False,
    ),
    Bug("release: nobody listens", patches=((Election, "look_now", _nothing),), life=lives.stops),
)


def try_all(most: int, only: str = "") -> int:
    """Print what is caught within how many seeds; how many are not."""
    missed = 0
    for bug in BUGS:
        if only in bug.name:
            seeds, problems = caught(bug, most)
            missed += not seeds
            how = (
                f"{seeds:>5} seeds  {problems[0].splitlines()[0][:90]}" if seeds else "  NOT CAUGHT"
            )
            print(f"{bug.name:55} {how}", flush=True)
    return missed
