"""The devices of Django's admin: permissions, the log, and two people at once."""

from __future__ import annotations

from tests.verification.mutations.device import Device

ACTIONS = "tests/integration/contrib/test_actions.py"
CHECKS = "tests/integration/contrib/test_checks.py"
FORM = "tests/integration/contrib/test_form.py"
PAGES = "tests/integration/contrib/test_pages.py"

ALL = [
    Device(
        "admin: actions have permissions",
        "A user who may view entries cannot run, pause or remove them",
        "contrib/django/admin.py",
        "        if not self._may(request, action):\n            raise PermissionDenied\n",
        "",
        ACTIONS,
    ),
    Device(
        "admin: arguments are hidden",
        "A user who may only view entries does not see their arguments",
        "contrib/django/admin.py",
        "with_arguments=may_change",
        "with_arguments=True",
        ACTIONS,
    ),
    Device(
        "admin: the revision of the form",
        "Saving a form does not undo what others changed meanwhile",
        "contrib/django/forms.py",
        'self.data.get("rev") != str(self.entry.rev)',
        "False",
        FORM,
    ),
    Device(
        "admin: the revision of the write",
        "A change between the look and the write is not overwritten",
        "contrib/django/saving.py",
        "client.update(entry.name, rev=entry.rev, **changes)",
        "client.update(entry.name, **changes)",
        FORM,
    ),
    Device(
        "admin: only what was changed",
        "Saving a form does not write fields that it shows differently from how they are stored",
        "contrib/django/forms.py",
        "for name in _BY_NAME if name in changed}",
        'for name in _BY_NAME if name != "schedule"}',
        FORM,
    ),
    Device(
        "admin: the log comes first",
        "No change is made unless Django's log accepts it",
        "contrib/django/audit.py",
        "        rows = [_row(user, flag, name, message) for name, message in messages.items()]\n"
        "        try:\n            result = act()\n",
        "        result = act()\n"
        "        rows = [_row(user, flag, name, message) for name, message in messages.items()]\n"
        "        try:\n            pass\n",
        ACTIONS,
    ),
    Device(
        "admin: doubtful changes stay in the log",
        "A change that may have taken effect is in Django's log",
        "contrib/django/audit.py",
        "        except (RedisUnavailable, CallTimeout, BulkInterrupted) as error:\n",
        "        except () as error:\n",
        ACTIONS,
    ),
    Device(
        "admin: clicked twice",
        "A second click on the same page runs nothing twice",
        "contrib/django/actions.py",
        'request_id=call.given["request_id"]',
        "request_id=None",
        ACTIONS,
    ),
    Device(
        "admin: names in links",
        "Names that browsers or databases change still lead to their entry",
        "contrib/django/keys.py",
        '    return name.isprintable() and bool(name.strip("."))\n',
        "    return True\n",
        ACTIONS,
    ),
    Device(
        "admin: a bounded search",
        "A search through a large schedule does not hold up the page",
        "contrib/django/listing.py",
        "        if _CLOCK.monotonic_us() > ends_us:\n",
        "        if False:\n",
        "tests/integration/contrib/test_list.py",
    ),
    Device(
        "admin: text that cannot be encoded",
        "A value that another program wrote does not make pages fail",
        "contrib/django/forms.py",
        '        return value.encode("utf-8", "replace").decode()\n',
        "        return value\n",
        PAGES,
    ),
    Device(
        "admin: JSON that is too deep",
        "No input makes a page fail",
        "contrib/django/forms.py",
        "        except (ValueError, RecursionError):  # too many digits, or too deep\n",
        "        except ():\n",
        FORM,
    ),
    Device(
        "admin: the model without rows",
        "`dumpdata` works although the model has no table",
        "contrib/django/models.py",
        "        return super().get_queryset().none()\n",
        "        return super().get_queryset()\n",
        CHECKS,
    ),
    Device(
        "admin: the app is remembered",
        "In the threads of a web server, the admin shows the project's schedule",
        "contrib/django/celery_app.py",
        "    for app in (*_remembered, current_app._get_current_object()):\n",
        "    for app in (current_app._get_current_object(),):\n",
        CHECKS,
    ),
]
