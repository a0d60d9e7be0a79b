"""When Celery has to build each message, because a template cannot.

Other code may see or change each message (signals, patched classes, a router that is a function).
Or the message depends on the moment of sending (countdown, expiry) or on more than the firing (lazy
arguments, a canvas). Each reason is a few words, for `celery … habeat show`.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Mapping
from pathlib import Path
from types import FunctionType, MethodType
from typing import Any

import amqp
import celery
import kombu
from celery import Celery, Task, signals
from celery.app.amqp import AMQP
from celery.app.routes import MapRoute, Router
from celery.beat import Scheduler
from kombu import Exchange, Queue
from kombu.messaging import Producer

from habeat.beat.message.send_path import CANVAS, goes_its_own_way
from habeat.core.entry import Entry

#: Options that make a message depend on the moment of sending.
_MOMENT = ("countdown", "eta", "expires")
#: Other options that a template cannot fill in.
_OTHER = ("argsrepr", "kwargsrepr", "link", "link_error", "stamped_headers", "producer")
#: With the separator: celery_once is not Celery.
_STOCK = tuple(
    str(Path(next(iter(package.__path__)))) + os.sep for package in (celery, kombu, amqp)
)
_HABEAT = str(Path(__file__).parents[2]) + os.sep
_PUBLISH_SIGNALS = ("before_task_publish", "after_task_publish", "task_sent")
_SIGNALS = [(name, getattr(signals, name)) for name in _PUBLISH_SIGNALS if hasattr(signals, name)]
#: What Celery calls between `apply_entry` and the producer, by class.
_TASK = ("apply_async", "_get_app", "_get_exec_options", "shadow_name")
_APP = ("send_task", "signature", "producer_or_acquire", "_canonical_signature", "gen_task_name")
_AMQP = (
    "as_task_v1",
    "as_task_v2",
    "_create_task_sender",
    "send_task_message",
    "create_task_message",
    "task_protocols",
    "router",
    "queues",
    "producer_pool",
    "default_queue",
    "default_exchange",
    "Queues",
    "Router",
    "flush_routes",
)
_PRODUCER = ("__init__", "publish", "_publish", "_prepare", "maybe_declare", "revive", "channel")
#: The methods that a producer calls on the broker's channel, and the channel on itself.
_CHANNEL = (
    "prepare_message",
    "basic_publish",
    "basic_publish_confirm",
    "_basic_publish",
    "typeof",
    "_put",
    "_put_fanout",
    "_lookup",
    "encode_body",
    "_inplace_augment_message",
    "_create_client",
)
_ROUTER = ("route", "expand_destination", "lookup_route", "query_router")
_PROTOCOLS = {1: AMQP.as_task_v1, 2: AMQP.as_task_v2}


def is_watched() -> str:
    """The signal of a publication that has receivers; "" if none has. Cheap: for each message."""
    for name, signal in _SIGNALS:
        if signal.receivers:
            return name
    return ""


def why_not_app(app: Celery) -> str:
    """Why no message of this app can be made from a template; "" if some can."""
    if name := is_watched():
        return f"the signal {name} has receivers"
    if app.conf.task_send_sent_event:
        return "task_send_sent_event sends an event with each message"
    return _other_code(app)


def why_not_transport(transport: type[Any]) -> str:
    """Why no message to this transport can be made from a template; "" if some can."""
    channel = getattr(transport, "Channel", None)
    for each in (transport, channel):
        if each is not None and not each.__module__.startswith("kombu."):
            return f"the broker's transport is not kombu's own ({each.__module__})"
    for name in _CHANNEL:
        if channel is not None and not _is_stock(channel, name):
            return f"the transport's Channel.{name} is not kombu's own"
    return ""


def why_not_scheduler(scheduler: object) -> str:
    """Why no message of this scheduler can be made from a template; "" if some can.

    A class derived from habeat's may send by code of its own.
    """
    kind = type(scheduler)
    for name in ("apply_entry", "apply_async", "send_task"):
        found = inspect.getattr_static(kind, name, None)
        if not isinstance(found, FunctionType):
            continue
        if not found.__code__.co_filename.startswith((*_STOCK, _HABEAT)):
            return f"{kind.__name__}.{name} is neither Celery's nor habeat's own"
    return ""


class OptionReaders:
    """Whether code that is not Celery's or kombu's sees the options of a task's messages.

    What concerns all tasks is found out at the first question, and kept: a beat_schedule may ask
    for thousands of entries.
    """

    def __init__(self, app: Celery) -> None:
        self._app = app

    def see(self, task: Any) -> bool:
        """Whether such code sees the options of this task's messages."""
        registered = self._app.tasks.get(task) if isinstance(task, str) else None
        return self._see_all or bool(_own_task(registered))

    @functools.cached_property
    def _see_all(self) -> bool:
        if is_watched():
            return True
        try:
            transport = self._app.connection_for_write().get_transport_cls()
            return bool(_other_code(self._app) or why_not_transport(transport))
        except Exception:  # the broker's URL or the backend is wrong, which beat reports elsewhere
            return True


def _other_code(app: Celery) -> str:
    """What is not Celery's own on the way from an entry to the producer; "" if nothing."""
    if type(app.amqp) is not AMQP:
        return "AMQP is not Celery's own"
    router = app.amqp.router
    if type(router) is not Router or any(type(route) is not MapRoute for route in router.routes):
        return "a router is a function"
    return _patched(app) or _replaced_attributes(app.amqp)


def why_not_entry(app: Celery, entry: Entry) -> str:
    """Why this entry's messages cannot be made from a template; "" if they can."""
    if not isinstance(entry.task, str) or entry.task in CANVAS:
        return "it is a canvas or a signature"
    own_way = goes_its_own_way(app, entry.task)
    if own_way:
        return own_way
    if {"args", "options"} & set(entry.from_code):
        return "it has parts that only code can express"
    task = app.tasks.get(entry.task)
    if entry.deadline_ms is not None or getattr(task, "expires", None) is not None:
        return "its expiry is counted from the moment of sending"
    for option in _MOMENT:
        if entry.options.get(option) is not None:
            return f"its {option} depends on the moment of sending"
    for option in _OTHER:
        if entry.options.get(option) is not None:
            return f"it has the option {option}"
    return _own_task(task)


def _own_task(task: Task | None) -> str:
    if task is None:
        return ""
    if getattr(task, "_dump_pydantic_arguments", None) is not None:
        return "its arguments are Pydantic models"
    for name in _TASK:
        if not _is_stock(type(task), name) or name in vars(task):
            return f"its class has a {name} of its own"
    return ""


def _patched(app: Celery) -> str:
    on_the_way: Mapping[str, tuple[Any, tuple[str, ...]]] = {
        "Celery": (app, _APP),
        "Task": (Task, _TASK),
        "AMQP": (AMQP, _AMQP),
        "Router": (Router, _ROUTER),
        "MapRoute": (MapRoute, ("__call__", "__init__")),
        "Scheduler": (Scheduler, ("apply_entry", "apply_async", "send_task")),
        "Producer": (Producer, _PRODUCER),
        "backend": (app.backend, ("on_task_call",)),
    }
    for what, (owner, names) in on_the_way.items():
        for name in names:
            if not _is_stock(owner, name):
                return f"{what}.{name} is not Celery's own"
    return ""


def _replaced_attributes(amqp: AMQP) -> str:
    """What this AMQP object or its router has been given in place of Celery's own; "" if nothing.

    Celery keeps some methods on the object too, where other code may have wrapped them.
    """
    for owner, what in ((amqp, "AMQP"), (amqp.router, "Router")):
        for name, value in vars(owner).items():
            if not callable(value) or isinstance(value, type | Exchange | Queue):
                continue
            if not _is_stock_function(value):
                return f"{what}.{name} is not Celery's own"
    for number, build in amqp.task_protocols.items():
        if getattr(build, "__func__", build) is not _PROTOCOLS.get(number):
            return "AMQP.task_protocols is not Celery's own"
    return "" if amqp.Producer is Producer else "the producer's class is not kombu's own"


def _is_stock(owner: Any, name: str) -> bool:
    """Whether this is Celery's or kombu's own function, neither wrapped nor replaced."""
    found = inspect.getattr_static(owner, name, None)
    if found is None or isinstance(found, type):
        return True
    if isinstance(found, classmethod | staticmethod):
        found = found.__func__
    elif isinstance(found, property | functools.cached_property):
        found = found.fget if isinstance(found, property) else found.func
    return _is_stock_function(found)


def _is_stock_function(found: Any) -> bool:
    """Whether the code of this function or method is in a file of Celery's or kombu's."""
    if isinstance(found, MethodType):
        found = found.__func__
    return isinstance(found, FunctionType) and found.__code__.co_filename.startswith(_STOCK)
