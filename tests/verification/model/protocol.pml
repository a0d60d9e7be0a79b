/*
 * habeat's protocol: who leads, who claims a slot, who sends its message, who sends it again.
 *
 * What is checked, for every interleaving of a few replicas, slots and faults
 * ---------------------------------------------------------------------------
 * The assertions stand where the thing happens: in the scripts and in the broker. Two things are
 * asserted of the end: when nothing can move any more (`Judge`), every slot is settled or dead
 * and a live replica leads. The state graph has no cycle (`pan -l` is asked for one), so every
 * run ends there: what is true of every end is true eventually, whatever the scheduler does.
 * The same is asked once more in temporal logic, without fairness: no run needs any.
 *
 * How the code became a model
 * ---------------------------
 * A step is one call over the network: everything that a script does in Redis, and what the
 * caller does with the reply. The caller's own steps between two calls touch nothing that
 * others see, so nobody can tell when they happen. A replica may rest for ever before any step
 * while all others go on: to be slow, to be paused between two calls and to have a request on
 * its way for long are the same thing here.
 *
 * Crash.  At each step a replica may die instead (DIES). Before the step: the request was never
 * executed. At the step after: it was executed and nobody read the reply. A message or a request
 * that still arrives after its sender's death is the same as a sender that is slow, sends, and
 * then dies. A process that is started anew has a new nonce and knows nothing: it is a replica
 * that has not moved so far.
 *
 * Lost calls.  At each step the call may come to nothing instead, or the reply of the step before
 * it may get lost (GIVES_UP): the turn is over and the next begins. A request whose caller has
 * given up may be executed later all the same, at any time, once (LATE).
 *
 * Time.  There is no clock, but what clocks are for: an order of events. The leader's trust ends
 * (TRUST_ENDS) at any time; the lease expires at any time (Expiry), but never while its holder
 * trusts it: the window is opened before the request leaves and is shorter than the TTL that the
 * request sets, so it closes before the lease ends, however long anything took. For the same
 * reason `recover_not_before`, which is the end of the stolen lease, comes at any time, but never
 * while the old holder trusts its lease. What could follow from any real choice of TTL, margin
 * and delays follows here too; what is lost is only the figures.
 *   -DEARLY_EXPIRY breaks the rule: a server clock that jumps ahead, an eviction or a deletion ends
 * a lease that is trusted. That is a fault more. Nobody can tell such a lease from one that ran out,
 * so an heir always leaves the intents of the last leader alone, as a thief does, unless that leader
 * gave its lease back. Where nobody trusts the last lease, the wait it makes has ended already: so
 * only a trusted one is kept here (DISTRUSTS).
 *   A message leaves within the trust (its deadline is the trust left, less a quarter TTL), so the
 * check and the sending are one step; but a process may be frozen between the two, and then sends
 * one stale message whenever it thaws (`stale`). A trust that ends between a message and its
 * settling means that the settling took longer than that quarter: this too is a fault.
 *   A lease whose holder lives is stolen only when its line was cut: a fault, of which the thief
 * knows nothing. What it stole by mistake is still trusted for a while.
 *
 * Polling.  A standby that looks and finds nothing to do, and a leader with nothing due, change
 * nothing; here they are blocked until there is something. `observe` has no step of its own:
 * whatever was seen, acquire and steal read again, the last leader included.
 *
 * Faults are counted: CRASHES deaths, and OTHERS of all other kinds together, any of them at any
 * step: stall, freeze, cut line, lost request, lost reply, late request, refused or unreachable
 * broker, lost confirm, hand-over; with -DEARLY_EXPIRY also a lease that vanishes.
 *
 * Which duplicate is excused.  `excuses[s]` rises by one when a fault hits a replica between its
 * sending of slot s and its settling of it, and only then. A message too many needs an excuse and
 * uses it up. So, without such a fault, exactly one; and no fault explains two.
 *
 * The first move of replica n comes after that of replica n-1. No script compares nonces but for
 * equality, so replicas that have not moved are interchangeable, and nothing is left out.
 *
 * Not modelled: when slots fall due (a leader may claim any number of them, or wait), skips and
 * catch-up, several entries (one entry has them all: its cursor orders them), triggers, edits,
 * Redis losing data. tests/verification/simulation has these.
 *
 * -D ATOMIC | OUTBOX | AT_MOST_ONCE, REPLICAS, SLOTS, CRASHES, OTHERS, CAP, EARLY_EXPIRY; and one
 * of the planted defects that README.md lists.
 */

#ifndef REPLICAS
#define REPLICAS 3
#endif
#ifndef SLOTS
#define SLOTS 3
#endif
#ifndef CRASHES
#define CRASHES 2
#endif
#ifndef OTHERS
#define OTHERS 1
#endif
#ifndef CAP
#define CAP 1
#endif

#define TOKEN(number, who) ((number) * 4 + (who))
#define NONCE(token) ((token) & 3)
#define NUMBER(token) ((token) >> 2)
#define BIT(n) (1 << (n))
#define HAS(set, n) (((set) >> (n)) & 1)

/* ---- Redis ------------------------------------------------------------------------------- */

byte lease;                   /* :lease, 0 if there is none */
byte epoch;                   /* :meta epoch */
byte untrusted;               /* :untrusted, a bit for each lease epoch */
byte cursor;                  /* :state */
byte fired[SLOTS + 1];        /* :fired, the token that claimed it; kept while in flight */
byte owner[SLOTS + 1];        /* :inflight, the token it is stamped with; 0 if not in flight */
byte attempts[SLOTS + 1];     /* :inflight */
byte dead;                    /* :dead, a bit for each slot */
byte sent;                    /* :ledger, slots with a record sent */
byte claimed, settled, abandoned;   /* :meta */

/* ---- the world --------------------------------------------------------------------------- */

bool trust[REPLICAS + 1];     /* its trust period is open */
byte token_of[REPLICAS + 1];  /* the token that it leads by, or last led by */
bool gone[REPLICAS + 1];
byte moved;                   /* how many replicas have moved so far */
byte crashes = CRASHES;
byte others = OTHERS;

byte broker;                  /* slots of which it has had a message */
byte excuses[SLOTS + 1];      /* faults that may still explain a message too many */
byte ever;                    /* slots that were ever claimed */
short issued;                 /* lease epochs that were ever a leader's */
byte marks[SLOTS + 1];        /* how often somebody was about to send it again */

mtype = { nothing, late_claim, late_mark, late_settle };
mtype late = nothing;         /* a request that nobody waits for any more */
byte late_by, late_slot;

hidden byte s, n, owns;            /* counters within a step, no state */

#define TRUSTED(token) (trust[NONCE(token)] && token_of[NONCE(token)] == (token))
#define LEADS(who) (trust[who] && lease == token_of[who])

/* The last leader trusts its lease, though it may be gone. A lease that was released or has run
   out is trusted by nobody. */
#define TRUSTS_LAST(who) (trust[who] && NUMBER(token_of[who]) == epoch)
#if REPLICAS == 2
#define LAST_TRUSTED (TRUSTS_LAST(1) || TRUSTS_LAST(2))
#else
#define LAST_TRUSTED (TRUSTS_LAST(1) || TRUSTS_LAST(2) || TRUSTS_LAST(3))
#endif

#ifdef NO_DISTRUST
#define DISTRUSTS false
#else
#define DISTRUSTS LAST_TRUSTED
#endif

#ifdef NO_RECOVER_WAIT
#define WAITS(token) false
#else
#define WAITS(token) (HAS(untrusted, NUMBER(token)) && TRUSTED(token))
#endif

#ifdef NO_TOKEN_CHECK
#define HOLDS(token) true
#else
#define HOLDS(token) (lease == (token))
#endif

#ifdef BLIND_RELEASE
#define RELEASE lease = 0
#else
#define RELEASE lease = (lease == token_of[me] -> 0 : lease)
#endif

#ifdef FENCED_SETTLE
#define MAY_SETTLE(token) (lease == (token))
#else
#define MAY_SETTLE(token) true
#endif

#ifdef SETTLES_TWICE
#define NOTHING_TO_SETTLE settled++
#else
#define NOTHING_TO_SETTLE skip
#endif

#ifdef NO_TRUST
#define MAY_SEND(who) true
#else
#define MAY_SEND(who) trust[who]
#endif

#ifdef NO_CURSOR_COMPARE
#define ACCOUNTED(slot) false
#define AS_PLANNED(slot) true
#else
#define ACCOUNTED(slot) ((slot) <= cursor)
#define AS_PLANNED(slot) (cursor == (slot) - 1)
#endif

/* At the end of every script. What is asserted is named in the comment behind it, here and
   everywhere: the report quotes it. */
inline accounts() {
  n = 0;
  for (s : 1 .. SLOTS) {
    n = n + (owner[s] != 0);
    owns = (owner[s] != 0) + HAS(sent, s) + HAS(dead, s);
    assert(HAS(ever, s) == owns)     /* in flight leads to settled or dead, nowhere else */
  }
  owns = 0;
  assert(claimed == settled + abandoned + n);   /* claimed = settled + abandoned + in flight */
  s = 0; n = 0
}

/* ---- the scripts ------------------------------------------------------------------------- */

/* leadership.lua, lead() */
inline lead(me) {
#ifndef NO_EPOCH
  epoch++;
#endif
  lease = TOKEN(epoch, me);
  printf("replica %d leads, lease epoch %d\n", me, epoch);
  assert(!HAS(issued, epoch));                    /* no token repeats */
  issued = issued | BIT(epoch);
  token_of[me] = lease;
  trust[me] = true
}

inline acquire(me) {
  if
  :: lease != 0 ->                                                       /* mine */
    printf("replica %d leads on, lease epoch %d\n", me, NUMBER(lease));
    token_of[me] = lease; trust[me] = true
  :: else ->
#ifndef EARLY_EXPIRY
    assert(!LAST_TRUSTED);                        /* no replica trusts a lease that is gone */
#endif
    untrusted = (DISTRUSTS -> untrusted | BIT(epoch) : untrusted);
    lead(me)
  fi
}

inline steal(me) {
  printf("replica %d steals the lease of replica %d\n", me, NONCE(lease));
  untrusted = untrusted | BIT(NUMBER(lease));
  lead(me)
}

inline push(slot) {
  printf("  the broker has a message of slot %d\n", slot);
  if
  :: HAS(broker, slot) ->
#if defined(ATOMIC) || defined(AT_MOST_ONCE)
    assert(false);                                /* never two messages of a slot */
#endif
    assert(excuses[slot] > 0);                    /* a fault explains every duplicate */
    excuses[slot]--
  :: else -> broker = broker | BIT(slot)
  fi;
  assert(HAS(ever, slot))                         /* a publish implies a claim */
}

inline take(slot, token) {
  printf("  slot %d is claimed for lease epoch %d\n", slot, NUMBER(token));
  assert(!HAS(ever, slot));                       /* at most one claim for a slot */
  assert(lease == (token));                       /* a claim implies the live token */
  assert((slot) > cursor);                        /* the cursor only moves forward */
  ever = ever | BIT(slot);
  cursor = (slot);
  claimed++;
#ifdef ATOMIC
  settled++;
  sent = sent | BIT(slot);
  push(slot)
#else
  fired[slot] = (token);
  owner[slot] = (token)
#endif
}

/* claim.lua: `count` slots after `from`; what may be sent now is added to `ours` */
inline claim(token, from, count, ours) {
  n = 1;
  do
  :: n > count -> break
  :: n <= count ->
    s = from + n;
    if
    :: ACCOUNTED(s) ->
      if
      :: owner[s] != 0 && fired[s] == (token) -> ours = ours | BIT(s)   /* mine inflight */
      :: else                                           /* duplicate, mine settled */
      fi
    :: !ACCOUNTED(s) && AS_PLANNED(s) -> take(s, token); ours = ours | BIT(s)
    :: else                                                             /* replan */
    fi;
    n++
  od;
#ifdef ATOMIC
  ours = 0;
#endif
  accounts()
}

/* settle.lua; an intent that is gone gets a note, which changes nothing */
inline settle(token, slot) {
  if
  :: owner[slot] != 0 && MAY_SETTLE(token) ->
    printf("  slot %d is settled\n", slot);
    assert(HAS(broker, slot));                    /* what is settled was sent */
    owner[slot] = 0; fired[slot] = 0; attempts[slot] = 0; marks[slot] = 0;
    sent = sent | BIT(slot);
    settled++
  :: else -> NOTHING_TO_SETTLE
  fi;
  accounts()
}

inline bury(slot) {
  printf("  slot %d is buried\n", slot);
  owner[slot] = 0; fired[slot] = 0; attempts[slot] = 0; marks[slot] = 0;
  dead = dead | BIT(slot);
  abandoned++
}

/* mark.lua; the slot is left as it is if it may be sent, else it becomes 0 */
inline mark(token, slot) {
  if
  :: owner[slot] != (token) -> slot = 0                                 /* gone */
#if defined(AT_MOST_ONCE) && !defined(RESENDS_ALL)
  :: else -> bury(slot); slot = 0
#else
  :: owner[slot] == (token) && attempts[slot] >= CAP ->
    assert(marks[slot] >= CAP);                   /* what is buried was tried */
    bury(slot); slot = 0
  :: else ->
    printf("  attempt at slot %d is counted\n", slot);
    marks[slot]++;
#ifndef COUNT_AT_RESTAMP
    attempts[slot]++;
#endif
    assert(attempts[slot] <= CAP)                 /* attempts end at the cap */
#endif
  fi;
  accounts()
}

/* recover.lua; what may be sent again is put into `ours` */
inline recover(token, ours) {
  ours = 0;
  for (s : 1 .. SLOTS) {
    if
    :: owner[s] != 0 && !WAITS(owner[s]) ->
#ifdef COUNT_AT_RESTAMP
      attempts[s] = (owner[s] != (token) && attempts[s] < CAP -> attempts[s] + 1 : attempts[s]);
#endif
      printf("  the intent of slot %d is taken over under lease epoch %d\n", s, NUMBER(token));
#ifndef NO_RESTAMP
      owner[s] = (token);
#endif
      ours = ours | BIT(s)
    :: else
    fi
  }
  s = 0
}

/* ---- a replica --------------------------------------------------------------------------- */

#if SLOTS == 2
#define ANY_OF(condition) (condition(1) || condition(2))
#else
#define ANY_OF(condition) (condition(1) || condition(2) || condition(3))
#endif
#define IN_FLIGHT(slot) (owner[slot] != 0)
#define RECOVERABLE(slot) (owner[slot] != 0 && !WAITS(owner[slot]))

#ifdef NO_RECOVERY
#define SEES_INTENTS false
#define WORK (cursor < SLOTS)
#else
#define SEES_INTENTS ANY_OF(IN_FLIGHT)
#define WORK (cursor < SLOTS || ANY_OF(RECOVERABLE))
#endif

#define LOSES_TRUST trust[me] = false; untrusted = untrusted & ~BIT(NUMBER(token_of[me]))

/* What may be known of a turn ends with it. */
#define REST planned = 0; todo = 0; slot = 0; again = false; \
  token_of[me] = (trust[me] || left -> token_of[me] : 0)

/* The next slot of this turn, if the trust still allows one. */
#define PICK \
  slot = 0; \
  todo = (MAY_SEND(me) -> todo : 0); \
  if \
  :: HAS(todo, 1) -> slot = 1 \
  :: !HAS(todo, 1) && HAS(todo, 2) -> slot = 2 \
  :: !HAS(todo, 1) && !HAS(todo, 2) && HAS(todo, 3) -> slot = 3 \
  :: todo == 0 \
  fi; \
  todo = todo & ~BIT(slot)

#define CLAIMS_NEXT (again && slot == 0 && trust[me] && planned < SLOTS)
#ifdef NO_LEFTOVERS
#define KEEP_LEFT left = 0
#else
#define KEEP_LEFT left = slot
#endif

#define GO_ON \
  if \
  :: slot != 0 && again -> goto marking \
  :: slot != 0 && !again -> goto sending \
  :: CLAIMS_NEXT -> goto claiming \
  :: slot == 0 && !CLAIMS_NEXT -> REST; goto turn \
  fi

/* A fault that hits a replica between the sending of a slot and its settling. */
#define EXCUSE(hit) excuses[hit] = excuses[hit] + (hit != 0 && owner[hit] != 0)

#define DIES(hit) \
  atomic { crashes > 0 && moved >= me - 1 -> \
    printf("replica %d DIES\n", me); \
    crashes--; gone[me] = true; MOVES; EXCUSE(hit); LOSES_TRUST; left = 0; REST; goto end_gone }

/* `hit` is the slot that has been sent and not settled: that this takes so long is a fault. So
   is a lease that is not renewed in time; but one that was stolen cannot be renewed. */
#define IN_TIME(hit) (lease != token_of[me] && (hit == 0 || hit == left))
#define TRUST_ENDS(hit) \
  trust[me] && (IN_TIME(hit) || others > 0) -> \
    printf("replica %d trusts its lease no longer\n", me); \
    others = (IN_TIME(hit) -> others : others - 1); EXCUSE(hit); LOSES_TRUST

#define GIVES_UP \
  atomic { others > 0 -> \
    printf("replica %d: THE CALL FAILS, or its reply is lost\n", me); \
    others--; REST; goto turn }

#define IS_LATE(what, which) \
  atomic { others > 0 && late == nothing -> \
    printf("replica %d: THE CALL TIMES OUT and is on its way still\n", me); \
    others--; late = what; late_by = token_of[me]; late_slot = which; REST; goto turn }

#define STEPS_DOWN atomic { !trust[me] -> REST; goto turn }

#ifdef NO_TAKEOVER
#define STEALS false
#else
#define STEALS (gone[NONCE(lease)] || others > 0)
#endif

#define MAY_MOVE (moved >= me - 1)
#define MOVES moved = (moved < me -> me : moved)

#define CLAIMS(count) \
  atomic { planned + count <= SLOTS -> again = false; \
    if \
    :: HOLDS(token_of[me]) -> d_step { claim(token_of[me], planned, count, todo) } \
    :: else -> LOSES_TRUST \
    fi; \
    PICK; GO_ON }

proctype Replica(byte me) {
  byte planned;     /* the cursor as the tick found it */
  byte todo;        /* slots to send in this turn, the present one excluded */
  byte slot;        /* the one that is being sent */
  byte left;        /* one that has left and could not be settled: Sender._departed */
  bool again;       /* resending what was recovered; else sending for the first time */

turn:
end_turn:
  if
  :: atomic { left != 0 ->
      printf("replica %d settles slot %d at last\n", me, left);
      d_step { settle(token_of[me], left) }; left = 0; REST; goto turn }
  :: atomic { left != 0 && others > 0 ->
      printf("replica %d: SETTLING slot %d FAILS again\n", me, left);
      others--; goto turn }
  :: atomic { left == 0 && !trust[me] && MAY_MOVE && (lease == 0 || NONCE(lease) == me) ->
      MOVES; d_step { acquire(me) }; goto turn }
  :: atomic { left == 0 && !trust[me] && MAY_MOVE && lease != 0 && NONCE(lease) != me &&
        STEALS ->
      MOVES; others = (gone[NONCE(lease)] -> others : others - 1);
      d_step { steal(me) }; goto turn }
  :: atomic { trust[me] && others > 0 ->
      printf("replica %d hands the lease over\n", me);
      others--; EXCUSE(left); RELEASE; LOSES_TRUST; REST; goto turn }
  :: atomic { left == 0 && trust[me] && WORK ->
      if
      :: HOLDS(token_of[me]) ->
        planned = cursor;
        again = true;
        if
        :: SEES_INTENTS -> goto recovering
        :: else -> goto claiming
        fi
      :: else -> LOSES_TRUST; REST; goto turn
      fi }
  :: DIES(left)
  :: atomic { TRUST_ENDS(left); REST; goto turn }
  fi;


recovering:
  if
  :: atomic {
      if
      :: HOLDS(token_of[me]) -> d_step { recover(token_of[me], todo) }
      :: else -> LOSES_TRUST
      fi;
      PICK; GO_ON }
  :: STEPS_DOWN
  :: GIVES_UP
  :: DIES(0)
  :: atomic { TRUST_ENDS(0); goto recovering }
  fi;

marking:
  if
  :: atomic {
      if
      :: HOLDS(token_of[me]) ->
        d_step { mark(token_of[me], slot) };
        if
        :: slot != 0 -> goto sending
        :: else
        fi
      :: else -> LOSES_TRUST
      fi;
      PICK; GO_ON }
  :: STEPS_DOWN
  :: GIVES_UP
  :: IS_LATE(late_mark, slot)
  :: DIES(0)
  :: atomic { TRUST_ENDS(0); goto marking }
  fi;

sending:
  if
  :: atomic { MAY_SEND(me) ->
      printf("replica %d sends slot %d\n", me, slot);
      d_step { push(slot) }; goto sent_it }
  :: atomic { MAY_SEND(me) && others > 0 ->
      printf("replica %d: THE BROKER REFUSES slot %d\n", me, slot);
      others--; PICK; GO_ON }
  :: atomic { MAY_SEND(me) && others > 0 ->
      printf("replica %d sends slot %d, THE CONFIRM IS LOST\n", me, slot);
      others--; EXCUSE(slot); d_step { push(slot) }; REST; goto turn }
  :: atomic { trust[me] && others > 0 ->
      printf("replica %d FREEZES before it sends slot %d\n", me, slot);
      others--; LOSES_TRUST; goto stale }
  :: atomic { !MAY_SEND(me) -> REST; goto turn }
  :: GIVES_UP
  :: DIES(0)
  :: atomic { TRUST_ENDS(0); goto sending }
  fi;

stale:
  if
  :: atomic { true ->
      printf("replica %d thaws and sends slot %d\n", me, slot);
      excuses[slot]++; d_step { push(slot) }; goto sent_it }
  :: DIES(0)
  fi;

sent_it:
  if
  :: atomic { true ->
      printf("replica %d settles slot %d\n", me, slot);
      d_step { settle(token_of[me], slot) }; PICK; GO_ON }
  :: atomic { others > 0 ->
      printf("replica %d: SETTLING slot %d FAILS\n", me, slot);
      others--; KEEP_LEFT; REST; goto turn }
  :: atomic { others > 0 && late == nothing ->
      printf("replica %d: SETTLING slot %d TIMES OUT and is on its way still\n", me, slot);
      others--; late = late_settle; late_by = token_of[me]; late_slot = slot;
      KEEP_LEFT; REST; goto turn }
  :: DIES(slot)
  :: atomic { TRUST_ENDS(slot); goto sent_it }
  fi;

claiming:
  if
  :: CLAIMS(1)
#ifndef AT_MOST_ONCE
  :: CLAIMS(2)
#if SLOTS > 2
  :: CLAIMS(3)
#endif
#endif
#ifdef ATOMIC
  :: atomic { others > 0 && HOLDS(token_of[me]) -> others--;                 /* a push fails */
#ifdef PUSH_AFTER_CLAIM
      cursor++; claimed++; ever = ever | BIT(cursor); d_step { accounts() };
#endif
      REST; goto turn }
#endif
  :: STEPS_DOWN
  :: GIVES_UP
  :: IS_LATE(late_claim, planned)
  :: DIES(0)
  :: atomic { TRUST_ENDS(0); goto claiming }
  fi;

end_gone:
  false
}

/* ---- what happens by itself -------------------------------------------------------------- */

#if defined(NO_TAKEOVER)
#define EXPIRES false
#else
#define EXPIRES (lease != 0 && !TRUSTED(lease))
#endif

proctype Expiry() {
end_expiry:
  do
  :: atomic { EXPIRES ->
      lease = 0 }
#ifdef EARLY_EXPIRY
  :: atomic { lease != 0 && TRUSTED(lease) && others > 0 ->
      printf("the lease of replica %d VANISHES\n", NONCE(lease));
      others--; lease = 0 }
#endif
  od
}

/* Requests that are executed after their caller has given up. */
proctype Network() {
  byte unread;
end_network:
  do
  :: atomic { late == late_claim ->
      printf("a late claim of replica %d is executed\n", NONCE(late_by));
      if
      :: HOLDS(late_by) -> d_step { claim(late_by, late_slot, 1, unread) }
      :: else
      fi;
      late = nothing; late_by = 0; late_slot = 0; unread = 0 }
  :: atomic { late == late_mark ->
      printf("a late mark of replica %d is executed\n", NONCE(late_by));
      if
      :: HOLDS(late_by) -> d_step { mark(late_by, late_slot) }
      :: else
      fi;
      late = nothing; late_by = 0; late_slot = 0 }
  :: atomic { late == late_settle ->
      printf("a late settle of replica %d is executed\n", NONCE(late_by));
      d_step { settle(late_by, late_slot) };
      late = nothing; late_by = 0; late_slot = 0 }
  od
}

#define ACCOUNTED_FOR (cursor == SLOTS && !(ANY_OF(IN_FLIGHT)))
#if REPLICAS == 2
#define LED (LEADS(1) || LEADS(2))
#else
#define LED (LEADS(1) || LEADS(2) || LEADS(3))
#endif

/* Nothing can move any more. */
proctype Judge() {
end_judge:
  atomic { timeout ->
    assert(ACCOUNTED_FOR);                        /* every slot ends settled or dead */
    assert(LED) }                                 /* a replica leads in the end */
}

init {
  atomic {
    byte i;
    for (i : 1 .. REPLICAS) {
      run Replica(i)
    }
    i = 0;
    run Expiry();
    run Network();
#ifndef LTL
    run Judge()
#endif
  }
}

#ifdef LTL
ltl accounted { <> [] (ACCOUNTED_FOR) }
ltl led { [] <> (LED) }
#endif
