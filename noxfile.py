"""The matrix: what habeat is said to work with, each combination in an environment of its own.

``nox --list`` names the sessions, ``nox -s 'tests-3.12(celery="5.5")'`` runs one. `.ci/run` runs
the corners of it; all of it takes about an hour on two cores.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import nox

nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["tests"]

ROOT = Path(__file__).parent
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
#: What pip is given for a Celery release; the first is the oldest of everything.
CELERIES = {
    "5.4": ("celery==5.4.0", "kombu==5.3.4", "redis==5.0.3", "croniter==7.0.0", "tenacity==8.2.3"),
    "5.5": ("celery[redis]==5.5.*",),
    "5.6": ("celery[redis]==5.6.*",),
    "5.7": ("celery[redis]==5.7.*",),
}
FAST = ("-q", "-n", "auto", "--dist", "worksteal", "-m", "not slow")
#: What is compared where only the message matters.
MESSAGES = ("tests/unit/beat", "tests/integration/test_whose_fault.py")


@nox.session(python=PYTHONS)
@nox.parametrize("celery", list(CELERIES))
def tests(session: nox.Session, celery: str) -> None:
    """The unit and conformance tests with one Celery and one Python."""
    session.install("-e", ".[test]", *CELERIES[celery])
    suites = session.posargs or ("tests/unit", "tests/integration/conformance")
    session.run("python", "-m", "pytest", *FAST, *suites)


@nox.session
@nox.parametrize("server", ["valkey", "redis-7.0", "redis-6.2", "given"])
def servers(session: nox.Session, server: str) -> None:
    """All fast tests with another server; `given`: the program that HABEAT_TEST_SERVER names."""
    if server == "given" and not os.environ.get("HABEAT_TEST_SERVER"):
        session.skip("HABEAT_TEST_SERVER names no server")
    session.install("-e", ".[test]")
    environment = {} if server in ("valkey", "given") else {"HABEAT_TEST_SERVER": server}
    session.run("python", "-m", "pytest", *FAST, *session.posargs, env=environment)


@nox.session
def rabbitmq(session: nox.Session) -> None:
    """What needs RabbitMQ's server."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "pytest", "-q", "-m", "rabbitmq", *session.posargs)


@nox.session
def sqs(session: nox.Session) -> None:
    """A beat whose broker is SQS, as moto's server plays it."""
    session.install("-e", ".[test]", "celery[sqs]", "moto[server]>=5")
    session.run("python", "-m", "pytest", "-q", "-m", "slow", "tests/system/sqs", *session.posargs)


@nox.session
def canary(session: nox.Session) -> None:
    """The newest pre-releases of Celery, kombu and redis-py: does a message still look the same?

    Templates rest on how Celery builds a message and kombu publishes it. This session is to fail
    before a release of theirs changes that for users.
    """
    session.install("-e", ".[test]")
    session.install("--upgrade", "--pre", "celery", "kombu", "redis")
    session.run("python", "-m", "pip", "list")
    session.run("python", "-m", "pytest", *FAST, *(session.posargs or MESSAGES))


@nox.session
def release(session: nox.Session) -> None:
    """dist/: the wheel and the source archive, tried in a clean environment, and the SBOM."""
    dist = ROOT / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    python = os.environ.get("HABEAT_PYTHON", str(ROOT / ".venv/bin/python"))
    session.run(python, "-m", "build", "--outdir", str(dist), external=True)
    files = sorted(map(str, dist.iterdir()))
    session.run(python, "-m", "twine", "check", "--strict", *files, external=True)
    (wheel,) = dist.glob("*.whl")
    session.install(str(wheel), "celery[redis]")
    clean = str(Path(session.bin) / "python")
    session.run(clean, "-m", "pip", "check")
    sbom = ("environment", "--output-reproducible", "--of", "JSON", "-o", str(dist / "sbom.json"))
    session.run(python, "-m", "cyclonedx_py", *sbom, clean, external=True)
    tried = {"HABEAT_DIST": str(dist), "HABEAT_CLEAN_PYTHON": clean}
    suite = ("-m", "slow", "tests/release", *session.posargs)
    session.run(python, "-m", "pytest", "-q", *suite, external=True, env=tried)
