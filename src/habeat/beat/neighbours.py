"""At start: find a schedule under another prefix that this app may have left behind.

The default prefix contains the app's name. So after `Celery("proj")` became `Celery("shop")`, the
old beats and the new ones fire the same entries for as long as both run, and entries made through
the API stay under the old prefix. Each beat registers its prefix, looks at the others once, and
logs a line about each one that is a candidate. Other apps on the same Redis are not candidates:
they declare other entries.

It runs in a thread with connections of its own, because on a Cluster another prefix may be on a
node that hangs. Without the permission, nothing is found.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping

from habeat.beat.declared.beat_schedule import BeatSchedule
from habeat.beat.other_schedulers import OWN_OF_CELERY
from habeat.config import Settings
from habeat.core.events import EventCode
from habeat.core.shadow import is_shadow
from habeat.log import log_event
from habeat.ports import StoreUnavailable
from habeat.printable import plural
from habeat.store.connection import Connections
from habeat.store.prefixes import OtherPrefix, Prefixes

log = logging.getLogger("habeat")

TIMEOUT_S = 2.0
#: A prefix counts as new for this long: entries made through the API are not expected there yet.
NEW_FOR_MS = 3_600_000


class Neighbours:
    """Looks for other prefixes once."""

    def __init__(self, settings: Settings, app_name: str, beat_schedule: BeatSchedule) -> None:
        self._settings = settings
        self._app_name = app_name
        self._beat_schedule = beat_schedule
        self._started = False

    def look_once(self) -> None:
        """Start the look, at the first call; returns at once and raises nothing."""
        if not self._started:
            self._started = True
            threading.Thread(target=self._look, name="habeat prefixes", daemon=True).start()

    def _look(self) -> None:
        connections = Connections(
            self._settings.redis, socket_timeout_s=TIMEOUT_S, connect_timeout_s=TIMEOUT_S
        )
        try:
            for line in self.lines(connections):
                log_event(EventCode.OTHER_PREFIX, line)
        except StoreUnavailable as error:
            log.debug("habeat: schedules under other prefixes cannot be looked for: %s", error)
        except Exception:
            log.debug("habeat: looking for schedules under other prefixes failed", exc_info=True)
        finally:
            connections.close()

    def lines(self, connections: Connections) -> list[str]:
        """What to log, a line for each prefix."""
        prefixes = Prefixes(connections, self._settings.key_prefix)
        is_new = prefixes.announce(self._app_name) < NEW_FOR_MS
        declared = {
            name: entry.fingerprint
            for name, entry in self._beat_schedule.entries.items()
            if name != OWN_OF_CELERY
        }
        lines = []
        for prefix in prefixes.others():
            found = _looked_at(prefixes, prefix, declared)
            if found is not None and not found.exists:
                prefixes.forget(prefix)
            elif found is not None and (line := self._line(found, is_new)):
                lines.append(line)
        return lines

    def _line(self, other: OtherPrefix, is_new: bool) -> str:
        if is_shadow(other.app) or is_shadow(self._app_name):
            return ""  # a shadow sends nothing, and its entries are copies
        related = bool(other.shared) or other.app == self._app_name
        if (other.live and other.shared) or (other.by_api and (related or is_new)):
            return _sentence(other)
        return ""


def _looked_at(prefixes: Prefixes, prefix: str, declared: Mapping[str, str]) -> OtherPrefix | None:
    """What is under this prefix; None if it cannot be read, for example keys of a foreign type."""
    try:
        return prefixes.look(prefix, declared)
    except StoreUnavailable as error:
        if error.fault == "unreachable":
            raise
        log.debug("habeat: prefix %r cannot be looked at: %s", prefix, error)
        return None


def _sentence(other: OtherPrefix) -> str:
    alive = f"beats are alive ({other.where})" if other.live else "no beat is alive"
    parts = []
    if other.live and other.shared:
        fire = plural(other.shared, "entry of beat_schedule fires", "entries of beat_schedule fire")
        parts.append(f"at least {fire} under both prefixes")
    if other.by_api:
        made = plural(other.by_api, "entry made through the API", "entries made through the API")
        parts.append(f"{made} would stay there")
    stop = "stop the old beats, then run" if other.live else "run"
    return (
        f"habeat: under the other prefix {other.prefix!r} on this Redis, {alive}; "
        f"{' and '.join(parts)}. If it is this app under its old name, {stop} "
        f"`celery -A proj habeat adopt --from {other.prefix}`; otherwise ignore this line"
    )
