"""The fast path: render firings from templates, one per shape.

Entries have the same *shape* if they share the task and the options, so that their messages differ
only in the firing's own values. A shape is learned at its second firing, because an entry that
fires once a day is not worth it. A bounded number of shapes is kept, and each is learned again now
and then, because routes and queues may change. If a shape cannot be learned, the reason is kept in
the same way; `why` returns it.

``habeat_template = False`` turns this off. To remove it, delete this module, template.py,
template_limits.py and their use in publisher.py.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from celery import Celery
from celery.utils.saferepr import saferepr
from kombu.utils import json

from habeat.beat.broker.envelope import Publication
from habeat.beat.message.send_path import iso
from habeat.beat.message.template import NotTaken, Template, Values, body_of, marks, tail_of_body
from habeat.beat.message.template_limits import (
    is_watched,
    why_not_app,
    why_not_entry,
    why_not_transport,
)
from habeat.core.entry import Entry
from habeat.core.firing import Firing
from habeat.ports import BrokerUnavailable, Rendered

SHAPES_KEPT = 1_000
#: A template is learned again after this many messages.
FILLED_AT_MOST = 50_000
#: The marks that are numbers: an instant, and a lease epoch that no leader has had.
_MARKED_SLOT_MS = 7_258_118_399_123
_MARKED_EPOCH = 7_777_777_123_456_789
#: For these texts, Python's repr and Celery's saferepr are the same.
_PLAIN = re.compile(r"[ !#-&(-\[\]-~]*").fullmatch
_PLAIN_CHARS = 60

Record = Callable[[Entry, Firing, str, int], list[Publication]]
Finish = Callable[[list[Publication]], Rendered]

slot_text = lru_cache(maxsize=64)(iso)


@dataclass(slots=True)
class _Learned:
    template: Template
    tail: str
    atomic: bool
    check: Callable[..., Any] | None
    left: int = FILLED_AT_MOST
    #: Where the messages go.
    queue: str = ""


class Templates:
    """Renders firings from templates, where possible."""

    def __init__(
        self, app: Celery, rehearse: Record, finish: Finish, transport: Callable[[], type[Any]]
    ) -> None:
        """`rehearse` has Celery build a message, and leaves no trace: the firing may not exist.

        `transport` returns the class of the broker's transport.
        """
        self._app = app
        self._transport = transport
        self._rehearse = rehearse
        self._finish = finish
        self._shapes: OrderedDict[Hashable, _Learned | str | None] = OrderedDict()
        self._why_not_app = ""
        #: The number of messages made from templates.
        self.filled = 0

    def look(self) -> None:
        """Before a batch of firings: check whether the app allows templates (signals, patches)."""
        try:
            self._why_not_app = why_not_app(self._app) or why_not_transport(self._transport())
        except Exception as error:  # for example, a result backend that cannot be created
            self._why_not_app = f"{type(error).__name__}: {error}"
        if self._why_not_app:
            self._shapes.clear()

    def forget(self) -> None:
        """Forget all templates: the connection changed, and with it perhaps the queues."""
        self._shapes.clear()

    def why(self, entry: Entry) -> str:
        """Why Celery builds each of this entry's messages; "" if templates are used."""
        known = self._shapes.get(_shape(entry))
        return (
            self._why_not_app
            or why_not_entry(self._app, entry)
            or (known if isinstance(known, str) else "")
        )

    def render(
        self, entry: Entry, firing: Firing, task_id: str, epoch: int, *, at_once: bool = False
    ) -> Rendered | None:
        """The firing's message; None if Celery has to build it.

        A shape is learned at its second firing; with `at_once`, at the first.
        """
        if self._why_not_app or entry.deadline_ms is not None or entry.from_code or is_watched():
            return None
        if not isinstance(entry.task, str):
            return None
        shape = _shape(entry)
        if shape not in self._shapes and not at_once:
            self._keep(shape, None)
            return None
        known = self._shapes.get(shape)
        if isinstance(known, str):
            return None
        if known is None or known.left <= 0:
            return self._learn(shape, entry, firing, task_id, epoch)
        return self._fill(known, entry, firing, task_id, epoch)

    def _fill(
        self, known: _Learned, entry: Entry, firing: Firing, task_id: str, epoch: int
    ) -> Rendered | None:
        if known.check is not None:
            try:
                known.check(*entry.args, **entry.kwargs)
            except TypeError:
                return None  # wrong arguments: Celery's own error says it better
        known.left -= 1
        self.filled += 1
        values = Values(
            name=entry.name,
            task_id=task_id,
            slot=slot_text(firing.slot_ms),
            epoch=str(epoch),
            argsrepr=self._repr(entry.args, "argsrepr_maxsize"),
            kwargsrepr=self._repr(entry.kwargs, "kwargsrepr_maxsize"),
            body=body_of(entry.args, entry.kwargs, known.tail),
        )
        return _rendered(known.template.fill(values), known.atomic, str(entry.task), known.queue)

    # -- learning ---------------------------------------------------------------------------

    def _learn(
        self, shape: Hashable, entry: Entry, firing: Firing, task_id: str, epoch: int
    ) -> Rendered | None:
        why = why_not_entry(self._app, entry)
        if why:
            self._keep(shape, why)
            return None
        published = self._rehearse(entry, firing, task_id, epoch)
        if not published:
            return None  # Celery bypassed the recorder: the publisher finds out when it is due
        if len(published) != 1:
            self._keep(shape, "each firing sends more than one message")
            return replace(self._finish(published), task=str(entry.task))
        rendered = replace(self._finish(published), task=str(entry.task))
        try:
            self._keep(
                shape,
                self._learned(
                    entry,
                    firing,
                    task_id=task_id,
                    epoch=epoch,
                    published=published,
                    rendered=rendered,
                ),
            )
        except NotTaken as reason:
            self._keep(shape, str(reason))
        except BrokerUnavailable:
            pass  # this message is ready; the shape is learned another time
        except Exception as error:
            self._keep(shape, f"it cannot be built twice ({type(error).__name__})")
        return rendered

    def _learned(
        self,
        entry: Entry,
        firing: Firing,
        task_id: str,
        epoch: int,
        published: list[Publication],
        rendered: Rendered,
    ) -> _Learned:
        if published[0].content_type != "application/json":
            raise NotTaken(f"its serializer produces {published[0].content_type}")
        args, kwargs = entry.args, entry.kwargs
        tail = tail_of_body(published[0].body, args, kwargs)
        body = body_of(args, kwargs, tail)
        marked, values = self._marked(entry, tail)
        template = Template(marked, values)
        template.foretells(
            _words(rendered),
            Values(
                name=entry.name,
                task_id=task_id,
                slot=slot_text(firing.slot_ms),
                epoch=str(epoch),
                argsrepr=self._repr(args, "argsrepr_maxsize"),
                kwargsrepr=self._repr(kwargs, "kwargsrepr_maxsize"),
                body=body,
            ),
        )
        task = self._app.tasks.get(entry.task)
        check = getattr(task, "__header__", None) if getattr(task, "typing", False) else None
        return _Learned(template, tail, bool(rendered.commands), check, queue=rendered.queue)

    def _marked(self, entry: Entry, tail: str) -> tuple[Sequence[Sequence[Any]], Values]:
        """The message of a firing that does not exist, with other arguments, and its values."""
        mark = marks()
        other = _with_other_arguments(entry, mark["name"])
        firing = Firing(mark["name"], _MARKED_SLOT_MS, _MARKED_SLOT_MS)
        published = self._rehearse(other, firing, mark["task_id"], _MARKED_EPOCH)
        values = Values(
            name=mark["name"],
            task_id=mark["task_id"],
            slot=slot_text(_MARKED_SLOT_MS),
            epoch=str(_MARKED_EPOCH),
            argsrepr=mark["argsrepr"],
            kwargsrepr=mark["kwargsrepr"],
            body=body_of(other.args, other.kwargs, tail),
        )
        return _words(
            self._finish(
                [self._with_reprs(other, publication, values) for publication in published]
            )
        ), values

    def _with_reprs(self, entry: Entry, made: Publication, values: Values) -> Publication:
        """Put marks in place of argsrepr and kwargsrepr, which are too short to be found."""
        headers = dict(made.arguments["headers"])
        for name, given in (("argsrepr", entry.args), ("kwargsrepr", entry.kwargs)):
            if headers.get(name) != self._repr(given, f"{name}_maxsize"):
                raise NotTaken(f"its {name} is not as expected")
            headers[name] = getattr(values, name)
        return replace(made, arguments={**made.arguments, "headers": headers})

    def _repr(self, value: Any, size: str) -> str:
        """The arguments as Celery writes them into a header."""
        given = (
            list(value) or () if isinstance(value, tuple) else dict(value)
        )  # as `evaluated` does
        if _is_plain(given):
            return repr(given)
        levels = self._app.conf.get("task_repr_maxlevels")
        more = {} if levels is None else {"maxlevels": levels}
        return str(saferepr(given, getattr(self._app.amqp, size), **more))

    def _keep(self, shape: Hashable, what: _Learned | str | None) -> None:
        self._shapes[shape] = what
        self._shapes.move_to_end(shape)
        while len(self._shapes) > SHAPES_KEPT:
            self._shapes.popitem(last=False)


def _shape(entry: Entry) -> Hashable:
    """What messages made from one template have in common.

    It includes whether there are arguments: a template learned without any says nothing about
    messages that have some.
    """
    task = entry.task if isinstance(entry.task, str) else ""
    given = (1 if entry.args else 0) + (2 if entry.kwargs else 0)
    if not entry.options:
        return task, given
    return task, given, json.dumps(entry.options)


def _with_other_arguments(entry: Entry, mark: str) -> Entry:
    """An entry of another name, with as many arguments of the same names, and other values."""
    args = tuple(f"{mark} {at}" for at in range(len(entry.args)))
    kwargs = {name: f"{mark} {name}" for name in entry.kwargs}
    return replace(entry, name=mark, args=args, kwargs=kwargs)


def _is_plain(value: Any) -> bool:
    """Whether repr and saferepr surely agree: short, flat, and nothing that needs escaping."""
    if type(value) is dict:
        parts = [*value, *value.values()]
    elif type(value) is list:
        parts = value
    else:
        return False
    room = _PLAIN_CHARS
    for part in parts:
        kind = type(part)
        if kind is str:
            room -= len(part) + 4
            if not _PLAIN(part):
                return False
        elif kind is int:
            room -= 12
            if not -(10**9) < part < 10**9:
                return False
        elif part is not None and kind is not bool:
            return False
        room -= 6
    return room > 0 and bool(parts)


def _words(rendered: Rendered) -> Sequence[Sequence[Any]]:
    return rendered.commands or [[rendered.envelope.decode()], *rendered.packet]


def _rendered(commands: Sequence[Sequence[Any]], atomic: bool, task: str, queue: str) -> Rendered:
    if atomic:
        return Rendered(commands=commands, task=task, queue=queue)
    envelope = commands[0][0].encode()
    return Rendered(envelope=envelope, packet=commands[1:], task=task, queue=queue)
