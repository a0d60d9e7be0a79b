"""What the admin does to chosen entries: pause, resume, enable, disable, run now, remove.

An action gets names and what the confirmation page asked for, and returns what became of each
entry. Pausing, resuming and removing change all of the entries or, if one cannot be changed, none.
Enabling and disabling leave out the entries that cannot be changed, such as those of beat_schedule.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast

from django import forms

from habeat.client import Client
from habeat.contrib.django.audit import CHANGE, DELETION, audited
from habeat.contrib.django.times import WhenField, zone_name
from habeat.errors import BulkError, HabeatError


@dataclass(slots=True)
class Done:
    """What became of the entries: those changed, those as wanted already, those refused."""

    changed: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    refused: Mapping[str, HabeatError] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Call:
    """One action on these names: who does it, with which client, and what the page asked for."""

    client: Client
    user: Any
    names: Sequence[str]
    given: Mapping[str, Any]


class ConfirmForm(forms.Form):
    """What an action needs to know; nothing but the confirmation."""


class PauseForm(ConfirmForm):
    """Why, and until when."""

    reason = forms.CharField(
        required=False, widget=forms.TextInput({"size": 60}), help_text="Shown beside the entry."
    )
    until = WhenField()

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields[
            "until"
        ].help_text = f"In {zone_name()}. Empty: until the entry is resumed by hand."


class ResumeForm(ConfirmForm):
    """From where on."""

    begin = forms.ChoiceField(
        label="Continue",
        choices=[
            ("now", "from now: the slots of the pause are skipped"),
            ("paused", "from where it stopped: the catch-up policy decides about those slots"),
        ],
    )


class TriggerForm(ConfirmForm):
    """Its id makes a second click on the same page run nothing twice."""

    request_id = forms.CharField(widget=forms.HiddenInput, initial=lambda: secrets.token_hex(8))


@dataclass(frozen=True, slots=True)
class Action:
    """One action; `permission` is the codename without the model."""

    label: str
    done: str
    permission: str
    run: Callable[[Call], Done]
    form: type[ConfirmForm] = ConfirmForm
    #: Whether a page asks for confirmation first.
    asks: bool = True


def _pause(call: Call) -> Done:
    reason, until = call.given["reason"], call.given["until"]
    end = f" until {until:%Y-%m-%d %H:%M:%S %Z}" if until else ""
    message = f"Paused{end}{f': {reason}' if reason else ''}."
    return _many(
        call, message, lambda: call.client.pause_many(call.names, reason=reason, until=until)
    )


def _resume(call: Call) -> Done:
    begin = cast(Literal["now", "paused"], call.given["begin"])
    since = "now" if begin == "now" else "where it stopped"
    return _many(
        call,
        f"Resumed from {since}.",
        lambda: call.client.resume_many(call.names, from_=begin),
    )


def _remove(call: Call) -> Done:
    def remove() -> Done:
        return Done(call.client.remove_many(call.names))

    return _many(call, "Removed.", remove, flag=DELETION)


def _trigger(call: Call) -> Done:
    def trigger() -> Done:
        found = call.client.trigger_many(call.names, request_id=call.given["request_id"])
        new = tuple(name for name, request in found.requests.items() if not request.known)
        known = tuple(name for name, request in found.requests.items() if request.known)
        return Done(new, known, found.refused)

    return _many(call, "Run now.", trigger)


def _many(call: Call, message: str, change: Callable[[], Any], *, flag: int = CHANGE) -> Done:
    """Change all of the entries, or none; `change` returns which it changed."""
    messages = dict.fromkeys(call.names, message)
    try:
        found = audited(call.user, flag, messages, change, changed_by=lambda result: result.changed)
    except BulkError as error:
        return Done(refused=error.errors)
    return Done(found.changed, getattr(found, "unchanged", ()), getattr(found, "refused", {}))


def _switch(enabled: bool) -> Callable[[Call], Done]:
    def run(call: Call) -> Done:
        done = _switched(call, enabled)
        others = [name for name in call.names if name not in done.refused]
        if not done.refused or not others:
            return done
        refused = done.refused
        done = _switched(replace(call, names=others), enabled)
        return replace(done, refused={**refused, **done.refused})

    return run


def _switched(call: Call, enabled: bool) -> Done:
    """Enable or disable all of the entries, or none of them if some are refused."""
    client = call.client
    switch, message = (
        (client.enable_many, "Enabled.") if enabled else (client.disable_many, "Disabled.")
    )
    return _many(call, message, lambda: switch(call.names))


ACTIONS: Mapping[str, Action] = {
    "pause": Action("Pause", "paused", "pause", _pause, PauseForm),
    "resume": Action("Resume", "resumed", "pause", _resume, ResumeForm),
    "enable": Action("Enable", "enabled", "change", _switch(True), asks=False),
    "disable": Action("Disable", "disabled", "change", _switch(False), asks=False),
    "trigger": Action("Run now", "run", "trigger", _trigger, TriggerForm),
    "remove": Action("Remove", "removed", "delete", _remove),
}
