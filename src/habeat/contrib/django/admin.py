"""The admin: Django's permissions, log and look over the entries in Redis.

The views are this class's own, with the names and URLs that the admin's have. So the index, the
log of recent actions and `{% url 'admin:habeat_entry_changelist' %}` lead here, and no part of the
ORM is imitated.

Override `get_client` to give users clients of their own, for example with a `habeat.Guard`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from functools import wraps
from typing import Any, TypeVar

from django.contrib import admin, messages
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.http import Http404, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from habeat.client import Client
from habeat.client.history import OUTCOMES, Drift
from habeat.client.selection import CONDITIONS, OWNERS
from habeat.contrib.django.actions import ACTIONS, Action, Call, Done
from habeat.contrib.django.audit import changes_of
from habeat.contrib.django.celery_app import celery_app, default_client
from habeat.contrib.django.forms import SECRET, EntryForm
from habeat.contrib.django.keys import key_of, name_of
from habeat.contrib.django.listing import SORTED, Page, Query, page_of
from habeat.contrib.django.models import Entry
from habeat.contrib.django.previewing import preview_of
from habeat.contrib.django.results import result_links
from habeat.contrib.django.saving import added, changed
from habeat.contrib.django.showing import (
    circuit_text,
    facts,
    history_rows,
    owner_of,
    rows,
    sentences,
    slots,
    summary,
)
from habeat.core.change_record import Author, Way
from habeat.core.entry import Entry as StoredEntry
from habeat.errors import (
    CallTimeout,
    EntryNotFound,
    ForeignState,
    HabeatError,
    NotAllowed,
    RedisUnavailable,
    RevisionConflict,
    SettingsError,
    ValidationError,
)
from habeat.printable import plural, printable, repr_of

View = TypeVar("View", bound=Callable[..., Any])

#: What keeps the whole schedule from being shown.
UNAVAILABLE = (RedisUnavailable, CallTimeout, SettingsError, ForeignState, ImproperlyConfigured)

SLOTS_SHOWN = 5
RECORDS_SHOWN = 100
RECORDS_AT_MOST = 1_000
TOO_MANY_TO_SORT = (
    f"More than {SORTED:,} entries match, or they take too long to read, so they are sorted by "
    "name: narrow the search to sort them by another column."
)
#: The headings of the list, each with what sorts by it: a key of ORDERS, "" for the name.
COLUMNS = (
    *(("Name", ""), ("Schedule", None), ("Task", "task"), ("Queue", None), ("State", "state")),
    *(("Last run", "last"), ("Next run", "next"), ("Runs", "runs"), ("Owner", "owner")),
)
REASONS_SHOWN = 5
REASON_CHARS = 500
TASKS_OFFERED = 500

_secret = method_decorator(sensitive_post_parameters(*SECRET, "seen"))


def answered(view: View) -> View:
    """The view, with a page for what is wrong instead of a failure."""

    @wraps(view)
    def answer(self: EntryAdmin, request: Any, *args: Any, **options: Any) -> Any:
        request.current_app = self.admin_site.name
        try:
            return view(self, request, *args, **options)
        except EntryNotFound as error:
            self.message_user(request, str(error), messages.WARNING)
            return HttpResponseRedirect(self.url("changelist"))
        except NotAllowed as error:
            context = {"title": "Not allowed", "why": printable(str(error), 1_000)}
            return self.page(request, "unavailable", context, status=403)
        except (HabeatError, ImproperlyConfigured) as error:
            title, why = "The schedule cannot be read", printable(str(error), 1_000)
            context = {"title": title, "why": why}
            return self.page(request, "unavailable", {**context, "is_away": True}, status=503)

    return answer  # type: ignore[return-value]


@admin.register(Entry)
class EntryAdmin(admin.ModelAdmin):
    """The admin of the schedule's entries."""

    def get_client(self, request: Any) -> Client:
        """The client for this request."""
        return default_client()

    def _acting_client(self, request: Any) -> Client:
        """The client for this request, whose changes are recorded as the user's."""
        author = Author(str(request.user.get_username()), Way.ADMIN)
        return self.get_client(request).acting_as(author)

    def has_pause_permission(self, request: Any) -> bool:
        """Whether this user may pause and resume entries."""
        return bool(request.user.has_perm(f"{self.opts.app_label}.pause_entry"))

    def has_trigger_permission(self, request: Any) -> bool:
        """Whether this user may run entries now."""
        return bool(request.user.has_perm(f"{self.opts.app_label}.trigger_entry"))

    def get_urls(self) -> list[Any]:
        def view(name: str, route: str, method: Callable[..., Any]) -> Any:
            return path(route, self.admin_site.admin_view(method), name=f"habeat_entry_{name}")

        # No key of an entry begins with an underscore and a letter, except for "_x".
        return [
            view("changelist", "", self.changelist_view),
            view("add", "add/", self.add_view),
            view("preview", "_preview/", self.preview_view),
            view("action", "_action/<slug:action>/", self.action_view),
            view("history", "<path:object_id>/history/", self.history_view),
            view("delete", "<path:object_id>/delete/", self.delete_view),
            view("change", "<path:object_id>/change/", self.change_view),
        ]

    # -- the list -----------------------------------------------------------------------------

    @answered
    def changelist_view(self, request: Any, extra_context: Any = None) -> HttpResponse:
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        client, query = self.get_client(request), Query.of(request.GET)
        problems: list[str] = []
        try:
            page = page_of(client, query)
            if page is None:
                problems = [TOO_MANY_TO_SORT]
                query = replace(query.first, order="")
                page = page_of(client, query) or Page([])
        except ValidationError as error:  # of the query, such as a tag that no entry can have
            page, problems = Page([]), [printable(str(error))]
        status, now = client.status(), client.server_time()
        unknown = client.unregistered(page.entries)
        previous, following = query.previous, query.next(page)
        context = {
            "title": "Entries of the schedule",
            "rows": list(rows(page.entries, celery_app(), now, unknown)),
            "query": query,
            "columns": list(_columns(query)),
            "first_page": query.first.url,
            "is_first": query == query.first,
            "previous_page": None if previous is None else previous.url,
            "next_page": None if following is None else following.url,
            "looked_at": page.looked_at,
            "summary": summary(status),
            "problems": [*problems, *sentences(status)],
            "states": CONDITIONS,
            "owners": OWNERS,
            "actions": self._permitted_actions(request),
            "has_add_permission": self.has_add_permission(request),
        }
        return self.page(request, "list", {**context, **(extra_context or {})})

    # -- one entry ----------------------------------------------------------------------------

    @answered
    @_secret
    def add_view(self, request: Any, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        client = self._acting_client(request)
        if request.method != "POST":
            return self._form_page(request, EntryForm(entry=None, timezone=client.timezone), None)
        form = EntryForm(request.POST, entry=None, timezone=client.timezone)
        name = added(request.user, client, form)
        if name is None:
            return self._form_page(request, form, None)
        return self._saved(request, name, f"The entry {repr_of(name)} was added.")

    @answered
    @_secret
    def change_view(
        self, request: Any, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        client, name = self._acting_client(request), name_of(object_id)
        may_change = self.has_change_permission(request)
        if request.method == "POST":
            if not may_change:
                raise PermissionDenied
            return self._change(request, client, name)
        entry = client.get(name)
        form = None
        if may_change and entry.owner == "api":
            form = EntryForm(entry=entry, timezone=client.timezone)
        return self._form_page(request, form, entry)

    def _change(self, request: Any, client: Client, name: str) -> HttpResponse:
        try:
            entry = client.get(name)
            form = EntryForm(request.POST, entry=entry, timezone=client.timezone)
            if form.is_outdated:
                return self._conflict(request, form)
            if not changed(request.user, client, form):
                return self._form_page(request, form, entry)
        except EntryNotFound:
            why = "The entry was removed while you edited it, so nothing was saved. "
            return self._typed(request, client, name, why + "Save to add it again.", status=409)
        except RevisionConflict:
            form = EntryForm(request.POST, entry=client.get(name), timezone=client.timezone)
            return self._conflict(request, form)
        except (RedisUnavailable, CallTimeout) as error:
            return self._typed(request, client, name, str(error), status=503)
        return self._saved(request, name, f"The entry {repr_of(name)} was changed.")

    def _conflict(self, request: Any, outdated: EntryForm) -> HttpResponse:
        """The form again, with what the user changed over the entry as it is now."""
        form, conflicts = outdated.merged()
        return self._form_page(request, form, form.entry, conflicts=conflicts, status=409)

    def _typed(
        self, request: Any, client: Client, name: str, why: str, *, status: int
    ) -> HttpResponse:
        """The form with what was typed and nothing else, because the entry cannot be read."""
        data = request.POST.copy()
        data["name"] = printable(name)
        form = EntryForm(data, entry=None, timezone=client.timezone)
        form.add_error(None, why)
        url = self.url("add") if status == 409 else ""
        return self._form_page(request, form, None, form_url=url, status=status)

    def _saved(self, request: Any, name: str, message: str) -> HttpResponse:
        self.message_user(request, message, messages.SUCCESS)
        if "_continue" in request.POST:
            return HttpResponseRedirect(self.url("change", key_of(name)))
        return HttpResponseRedirect(self.url("changelist"))

    def _form_page(
        self,
        request: Any,
        form: EntryForm | None,
        entry: StoredEntry | None,
        *,
        conflicts: Sequence[Any] = (),
        form_url: str = "",
        status: int = 200,
    ) -> HttpResponse:
        context = {
            "title": "Add an entry" if entry is None else printable(entry.name, 200),
            "form": form,
            "conflicts": conflicts,
            "is_conflict": entry is not None and status == 409,
            "tasks": self._tasks() if form is not None else (),
            "preview_url": self.url("preview"),
            "form_url": form_url,
        }
        if entry is not None:
            context |= self._about(request, entry)
        return self.page(request, "entry", context, status=status)

    def _about(self, request: Any, entry: StoredEntry) -> dict[str, Any]:
        """What the page of an entry shows beside its form."""
        client = self.get_client(request)
        now = client.server_time()
        may_change = self.has_change_permission(request)
        return {
            "entry_key": key_of(entry.name),
            "facts": list(facts(entry, celery_app(), now, with_arguments=may_change)),
            "slots": _slots(client, entry, now),
            "circuit": circuit_text(client.circuit(entry.name)),
            "is_code_owned": entry.owner == "config",
            "owner": owner_of(entry),
            "actions": self._actions_on(request, entry),
        }

    def _tasks(self) -> list[str]:
        """Names of tasks to choose from; none if the project's code cannot be imported here."""
        app = celery_app()
        try:
            app.loader.import_default_modules()
            names = sorted(name for name in app.tasks if not name.startswith("celery."))
        except Exception:  # a module of the project may raise anything: names can be typed
            return []
        return [printable(name) for name in names[:TASKS_OFFERED]]

    # -- preview ------------------------------------------------------------------------------

    @_secret
    @method_decorator(require_POST)
    def preview_view(self, request: Any) -> HttpResponse:
        """The next slots of the schedule in the form, as JSON."""
        if not (self.has_add_permission(request) or self.has_change_permission(request)):
            raise PermissionDenied
        try:
            return JsonResponse(preview_of(self.get_client(request), request.POST))
        except (HabeatError, ImproperlyConfigured) as error:
            return JsonResponse({"error": printable(str(error), 1_000)}, status=503)

    # -- history ------------------------------------------------------------------------------

    @answered
    def history_view(self, request: Any, object_id: str, extra_context: Any = None) -> HttpResponse:
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        client, name = self.get_client(request), name_of(object_id)
        outcomes = [each for each in OUTCOMES if each == request.GET.get("outcome")]
        most = RECORDS_AT_MOST if "all" in request.GET else RECORDS_SHOWN
        found = client.history(name, limit=most + 1, outcome=outcomes)
        records = found[:most]
        links = result_links(request, [each.task_id for each in records if each.task_id])
        context = {
            "title": f"History: {printable(name, 200)}",
            "entry_key": key_of(name),
            "records": list(history_rows(records, links)),
            "drift": _drift(client, name),
            "outcome": "".join(outcomes),
            "outcomes": OUTCOMES,
            "has_more": len(found) > most,
            "may_see_more": most < RECORDS_AT_MOST,
            "changes": changes_of(name),
        }
        return self.page(request, "history", {**context, **(extra_context or {})})

    # -- actions ---------------------------------------------------------------------------------

    @answered
    def delete_view(self, request: Any, object_id: str, extra_context: Any = None) -> HttpResponse:
        """The admin's own URL for removing one entry."""
        return self._run_action(request, "remove", [name_of(object_id)])

    @answered
    @method_decorator(require_POST)
    def action_view(self, request: Any, action: str) -> HttpResponse:
        """An action on the entries that were chosen; some actions ask for confirmation first."""
        action = request.POST.get("action", "") if action == "chosen" else action
        if action not in ACTIONS:
            raise Http404
        names = list(dict.fromkeys(filter(None, map(name_of, request.POST.getlist("key")))))
        if not names:
            self.message_user(request, "No entry was chosen.", messages.WARNING)
            return HttpResponseRedirect(self._back(request))
        return self._run_action(request, action, names)

    def _run_action(self, request: Any, slug: str, names: list[str]) -> HttpResponse:
        action = ACTIONS[slug]
        if not self._may(request, action):
            raise PermissionDenied
        is_confirmed = request.method == "POST" and ("confirmed" in request.POST or not action.asks)
        form = action.form(request.POST if is_confirmed else None)
        if not is_confirmed or not form.is_valid():
            return self._confirm_page(request, slug, names, form)
        call = Call(self._acting_client(request), request.user, names, form.cleaned_data)
        try:
            done = action.run(call)
        except ValidationError as error:
            form.add_error(error.field if error.field in form.fields else None, str(error))
            return self._confirm_page(request, slug, names, form)
        except UNAVAILABLE:
            raise
        except HabeatError as error:
            self.message_user(request, str(error), messages.ERROR)
        else:
            self._report(request, action, done)
        return HttpResponseRedirect(self._back(request, slug))

    def _confirm_page(self, request: Any, slug: str, names: list[str], form: Any) -> HttpResponse:
        action = ACTIONS[slug]
        chosen = [(key_of(name), printable(name, 200)) for name in names]
        context = {
            "title": f"{action.label}: {plural(len(names), 'entry', 'entries')}",
            "action": action,
            "action_url": self.url("action", slug),
            "chosen": chosen,
            "form": form,
            "back": request.POST.get("back", ""),
            "of_one": "of_one" in request.POST or request.method != "POST",
            "is_removal": slug == "remove",
        }
        return self.page(request, "confirm", context)

    def _report(self, request: Any, action: Action, done: Done) -> None:
        """Tell the user what became of the entries."""
        if done.changed:
            count = plural(len(done.changed), "entry was", "entries were")
            self.message_user(request, f"{count} {action.done}.", messages.SUCCESS)
        if done.unchanged:
            count = plural(len(done.unchanged), "entry was", "entries were")
            self.message_user(request, f"{count} {action.done} already.", messages.INFO)
        for error in list(done.refused.values())[:REASONS_SHOWN]:
            self.message_user(request, str(error), messages.ERROR)
        if len(done.refused) > REASONS_SHOWN:
            more = f"{len(done.refused) - REASONS_SHOWN} more entries were refused."
            self.message_user(request, more, messages.ERROR)

    def _back(self, request: Any, slug: str = "") -> str:
        """Where the action was chosen: the page of the entry, or the list with its filters."""
        names = [name_of(key) for key in request.POST.getlist("key")]
        if "of_one" in request.POST and len(names) == 1 and names[0] and slug != "remove":
            return self.url("change", key_of(names[0]))
        query = request.POST.get("back", "")
        return self.url("changelist") + (f"?{query}" if query else "")

    def _permitted_actions(self, request: Any) -> list[tuple[str, str]]:
        """The actions that this user may choose."""
        return [
            (slug, action.label) for slug, action in ACTIONS.items() if self._may(request, action)
        ]

    def _actions_on(self, request: Any, entry: StoredEntry) -> list[tuple[str, str]]:
        """Those of them that make sense for this entry."""
        left_out = {"enable" if entry.enabled else "disable"}
        if entry.condition == "quarantined":
            left_out.add("pause")
        elif entry.condition != "paused":
            left_out.add("resume")
        if entry.owner == "config":
            left_out |= {"enable", "disable", "remove"}
        permitted = self._permitted_actions(request)
        return [(slug, label) for slug, label in permitted if slug not in left_out]

    def _may(self, request: Any, action: Action) -> bool:
        return bool(getattr(self, f"has_{action.permission}_permission")(request))

    # -- pages --------------------------------------------------------------------------------

    def url(self, name: str, *args: str) -> str:
        """The URL of one of these views."""
        place = f"admin:habeat_entry_{name}"
        return str(reverse(place, args=args, current_app=self.admin_site.name))

    def page(
        self, request: Any, template: str, context: dict[str, Any], status: int = 200
    ) -> HttpResponse:
        """A page of the admin with this template."""
        whole = {**self.admin_site.each_context(request), "opts": self.opts, **context}
        return TemplateResponse(
            request, f"admin/habeat/entry/{template}.html", whole, status=status
        )


def _columns(query: Query) -> Iterator[dict[str, str]]:
    """The columns of the list: heading, URL that sorts by it ("" for none), and its direction."""
    for heading, order in COLUMNS:
        is_sorted = order is not None and query.order.removeprefix("-") == order
        mark = ("descending" if query.order.startswith("-") else "ascending") if is_sorted else ""
        url = "" if order is None else query.by(order).url
        yield {"heading": heading, "url": f"?{url}" if order is not None else "", "sorted": mark}


def _drift(client: Client, name: str) -> list[Drift]:
    """How late the entry was sent; nothing if it was removed, which leaves its history."""
    try:
        return client.drift(name)
    except EntryNotFound:
        return []


def _slots(client: Client, entry: StoredEntry, now: datetime) -> list[dict[str, str]]:
    """The next slots of an entry, or why they cannot be found."""
    try:
        return slots(entry.schedule, client.preview(entry.name, SLOTS_SHOWN), now)
    except UNAVAILABLE:
        raise
    except Exception as error:  # a schedule may be a class of the project, and raise anything
        return [{"time": printable(f"unknown: {error}", REASON_CHARS), "distance": "", "marks": ""}]
