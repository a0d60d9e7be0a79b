"""A certificate authority and two certificates, made by the openssl program at test time."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.servers.needs import need


@dataclass(frozen=True)
class Certificates:
    """PEM files. The server's is for localhost and 127.0.0.1; the client's for mutual TLS."""

    ca: Path
    server_cert: Path
    server_key: Path
    client_cert: Path
    client_key: Path


def make_certificates(folder: Path) -> Certificates:
    """Make them in `folder`, valid for two days."""
    need("openssl", shutil.which("openssl") is not None, "apt-get install openssl")
    folder.mkdir(parents=True, exist_ok=True)
    made = Certificates(*(folder / name for name in _NAMES))
    ca_key = folder / "ca.key"
    _openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
        *("-nodes", "-days", "2", "-subj", "/CN=habeat test authority"),
        *("-keyout", str(ca_key), "-out", str(made.ca)),
    )
    _issue(made.ca, ca_key, made.server_cert, made.server_key, "localhost")
    _issue(made.ca, ca_key, made.client_cert, made.client_key, "client")
    return made


_NAMES = ("ca.pem", "server.pem", "server.key", "client.pem", "client.key")


def _issue(ca: Path, ca_key: Path, cert: Path, key: Path, common_name: str) -> None:
    request = cert.with_suffix(".csr")
    names = cert.with_suffix(".ext")
    names.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    _openssl(
        *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
        *("-subj", f"/CN={common_name}", "-keyout", str(key), "-out", str(request)),
    )
    _openssl(
        *("x509", "-req", "-in", str(request), "-CA", str(ca), "-CAkey", str(ca_key)),
        *("-CAcreateserial", "-days", "2", "-extfile", str(names), "-out", str(cert)),
    )


def _openssl(*arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"openssl {arguments[0]} failed: {done.stderr}")
