"""examples/django as it stands: its server, a beat, a worker, and a browser in its admin."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import unescape
from http.cookiejar import CookieJar
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from habeat import Client
from tests import ROOT
from tests.support.servers.children import free_port
from tests.support.servers.needs import need
from tests.support.servers.processes import CeleryProcess, Processes, until
from tests.support.servers.redis_server import start_server, valkey_binary

pytestmark = pytest.mark.slow

EXAMPLE = ROOT / "examples" / "django"
CHROMIUM, DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"
POLICY = "default-src 'self'; form-action 'self'; frame-ancestors 'none'"

#: The example's settings with a policy that forbids inline scripts and styles.
STRICT = f'''
from proj.settings import *


def policy(get_response):
    def answer(request):
        response = get_response(request)
        response["Content-Security-Policy"] = "{POLICY}"
        return response

    return answer


MIDDLEWARE = ["strict.policy", *MIDDLEWARE]
'''


@dataclass
class Project:
    """The running example."""

    url: str
    server: CeleryProcess
    client: Client


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    pytest.importorskip("django")
    pytest.importorskip("django_celery_results")
    home = tmp_path_factory.mktemp("django")
    (home / "strict.py").write_text(STRICT)
    path = [*map(str, (EXAMPLE, home, ROOT / "src")), os.environ.get("PYTHONPATH", "")]
    redis, processes, port = start_server(valkey_binary()), Processes(), free_port()
    env = {
        "CELERY_BROKER_URL": redis.url(),
        "DATABASE": str(home / "db.sqlite3"),
        "DJANGO_SETTINGS_MODULE": "strict",
        "DJANGO_SUPERUSER_PASSWORD": "secret",
        "PYTHONPATH": os.pathsep.join(path),
    }
    try:
        manage(env, "migrate")
        server = processes.python(
            EXAMPLE / "manage.py", ["runserver", "--noreload", f"127.0.0.1:{port}"], env
        )
        processes.beat("proj", ["-l", "INFO"], env)
        processes.worker("proj", ["-l", "INFO"], env)
        manage(env, "createsuperuser", "--noinput", "--username=ada", "--email=ada@example.org")
        url = f"http://127.0.0.1:{port}"
        until(lambda: answers(url), 20, lambda: f"the server answers; it said:\n{server.log()}")
        with Client(redis.url(), prefix="habeat:proj") as client:
            until(lambda: client.status().leader, 20, "a beat leads")
            yield Project(url, server, client)
    finally:
        processes.kill_all()
        redis.dispose()


def manage(env: dict[str, str], *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLE / "manage.py"), *arguments],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


class Visitor:
    """A browser without scripts."""

    def __init__(self, project: Project) -> None:
        self._url = project.url
        cookies = urllib.request.HTTPCookieProcessor(CookieJar())
        self._opener = urllib.request.build_opener(cookies)

    def get(self, place: str) -> str:
        with self._opener.open(self._url + place, timeout=20) as answer:
            return str(answer.read().decode())

    def submit(self, place: str, **fields: str) -> str:
        """Fill in the form of a page and send it."""
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', self.get(place))
        assert token
        data = urllib.parse.urlencode({"csrfmiddlewaretoken": token[1], **fields}).encode()
        with self._opener.open(self._url + place, data, timeout=20) as answer:
            return unescape(answer.read().decode())


def test_a_reminder_is_a_row_and_an_entry_or_neither(project: Project) -> None:
    visitor = Visitor(project)
    refused = visitor.submit("/", text="Tea", cron="61 * * * *")
    assert "invalid minute" in refused
    assert "<li>Tea" not in visitor.get("/")
    assert list(project.client.list(tags=["reminders"])) == []

    assert "<li>Coffee" in visitor.submit("/", text="Coffee", cron="* * * * * *")
    (entry,) = project.client.list(tags=["reminders"])
    assert entry.description == "Coffee"
    until(lambda: "sent 0 times" not in visitor.get("/"), 20, "the reminder was sent")
    project.client.pause(entry.name)

    visitor.submit("/admin/login/?next=/admin/", username="ada", password="secret")
    listed = visitor.get("/admin/habeat/entry/")
    for text in (entry.name, "clear-sessions", "beat_schedule", "reminders.tasks.remind"):
        assert text in listed


# -- in a browser ---------------------------------------------------------------------------------


@pytest.fixture
def chromium(tmp_path: Path) -> Iterator[Any]:
    there = all(map(shutil.which, (CHROMIUM, DRIVER))) and find_spec("selenium") is not None
    need("Chromium", there, "apt-get install chromium chromium-driver; pip install selenium")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (
        *("headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run"),
        *("disable-background-networking", "disable-component-update", "disable-sync"),
        *("window-size=1280,1400", f"user-data-dir={tmp_path / 'profile'}"),
    ):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


class Person:
    """A person at the browser, who waits until a page shows what they look for."""

    def __init__(self, driver: Any, url: str, pictures: Path) -> None:
        self.driver, self._url, self._pictures = driver, url, pictures
        #: What the browser complained about; its log is emptied when it is read.
        self.complaints: list[str] = []

    def go(self, place: str) -> None:
        self.driver.get(self._url + place)

    def find(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def click(self, selector: str) -> None:
        self.find(selector).click()

    def follow(self, selector: str) -> None:
        """Click what leads to another page, and wait until this one is gone: the next selector
        may well fit something on both."""
        from selenium.common.exceptions import StaleElementReferenceException

        left = self.find("html")
        self.click(selector)

        def is_gone() -> bool:
            try:
                left.is_enabled()
            except StaleElementReferenceException:
                return True
            return False

        until(is_gone, 20, f"another page after a click on {selector}")

    def type(self, field: str, text: str) -> None:
        self.find(f'[name="{field}"]').clear()
        self.find(f'[name="{field}"]').send_keys(text)

    def choose(self, field: str, value: str) -> None:
        self.click(f'[name="{field}"] option[value="{value}"]')

    def sees(self, text: str, selector: str = "#content") -> None:
        until(lambda: text in self.text(selector), 20, lambda: f"{text!r} in {self.text(selector)}")

    def text(self, selector: str) -> str:
        from selenium.common.exceptions import WebDriverException

        try:
            return str(self.find(selector).text)
        except WebDriverException:  # the page is just being replaced
            return ""

    def picture(self, name: str) -> None:
        self.driver.save_screenshot(str(self._pictures / f"{name}.png"))
        logged = self.driver.get_log("browser")
        serious = [each["message"] for each in logged if each["level"] == "SEVERE"]
        self.complaints += [each for each in serious if "/favicon.ico " not in each]


def test_a_day_in_the_admin(
    project: Project, chromium: Any, tmp_path: Path, reloaded: Callable[..., None]
) -> None:
    pictures = Path(os.environ.get("HABEAT_PICTURES", tmp_path))
    person = Person(chromium, project.url, pictures)
    person.go("/admin/login/?next=/admin/habeat/entry/add/")
    person.type("username", "ada")
    person.type("password", "secret")
    person.follow("[type=submit]")

    person.sees("Add an entry")
    person.type("name", "from a browser")
    person.type("task", "reminders.tasks.clear_sessions")
    person.choose("kind", "cron")
    assert not person.find('[name="every"]').is_displayed()
    person.type("cron", "61 8 * * *")
    person.sees("invalid minute", "#habeat-preview")
    person.type("cron", "30 8 * * mon-fri")
    person.sees("at 08:30 from Monday to Friday", "#habeat-preview")
    assert person.text("#habeat-preview").count("08:30:00") == 8
    person.picture("1-preview")
    person.follow('[name="_save"]')

    person.sees("from a browser")
    person.picture("2-list")
    person.follow("#result_list a[href*='from%20a%20browser']")
    person.sees("Next slots")
    person.follow("#habeat-pause")
    person.type("reason", "the office is closed")
    person.picture("3-pause")
    person.follow(".submit-row [type=submit]")
    person.sees("paused: the office is closed")
    person.picture("4-paused")

    person.follow("#habeat-trigger")
    person.follow(".submit-row [type=submit]")
    person.sees("1 entry was run", ".messagelist")
    person.follow("#habeat-history-link")
    reloaded(person, "SUCCESS", "#habeat-history")
    person.sees("triggered by hand", "#habeat-history")
    person.sees("Paused: the office is closed.", "#change-history")
    person.picture("5-history")
    person.follow("#habeat-history a")
    person.sees("Task State:")
    person.picture("6-result")
    assert person.complaints == [], "nothing breaks the policy"
    assert " 500 " not in project.server.log()


@pytest.fixture
def reloaded() -> Callable[..., None]:
    def until_seen(person: Person, text: str, selector: str) -> None:
        def look() -> bool:
            person.driver.refresh()
            return text in person.text(selector)

        until(look, 20, lambda: f"{text!r} in {person.text('#content')}", every_s=0.3)

    return until_seen
