"""The line that Celery's beat logs for each firing, for messages made from templates.

Celery logs it in `apply_entry`. Messages made from templates do not pass there, so the line is
logged when such a firing has been claimed, with the same logger and the same words.
"""

from __future__ import annotations

import logging

from habeat.ports import Claim
from habeat.printable import Shown

log = logging.getLogger("celery.beat")

#: In a burst, the rest is only counted: writing a line would take longer than a claim.
LINES_PER_SECOND = 100


class DueTaskLog:
    """Logs each firing, and the number of those beyond `LINES_PER_SECOND`."""

    def __init__(self) -> None:
        self._second = 0
        self._lines = 0
        self._unlisted = 0

    def sent(self, claim: Claim, now_us: int) -> None:
        """Log a claimed firing, unless Celery has logged it when it built the message."""
        task = claim.rendered.task
        if not task or not log.isEnabledFor(logging.INFO):
            return
        second = now_us // 1_000_000
        if second != self._second:
            self.sum_up()
            self._second, self._lines = second, 0
        if self._lines < LINES_PER_SECOND:
            self._lines += 1
            log.info("Scheduler: Sending due task %s (%s)", Shown(claim.firing.entry), Shown(task))
        else:
            self._unlisted += 1

    def sum_up(self) -> None:
        """Log how many firings got no line of their own since the last call, if any."""
        if self._unlisted:
            log.info(
                "Scheduler: Sending %d more due tasks in this second, which are not listed: "
                "habeat lists %d a second",
                self._unlisted,
                LINES_PER_SECOND,
            )
            self._unlisted = 0
