"""A real nginx on loopback with the configuration of risk's shards."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

import pytest

from gateway.nginx.risk import LOCATION, render

_MAIN = """
daemon off;
{user}
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 2048; }}
http {{
    access_log off;
    {temporary}
    include {folder}/risk.conf;
    server {{
        listen 127.0.0.1:{port};
        include {folder}/risk-location.conf;
    }}
}}
"""


def executable() -> str:
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip("nginx is not installed; on Debian it is in the package nginx")
    return found


@contextmanager
def running_nginx(shards: Sequence[Sequence[str]], body_timeout: str = "30s") -> Iterator[str]:
    """Run nginx in front of shards, each the `host:port` of its replicas; yield its URL."""
    program = executable()
    # A path of a test is too long for a socket's.
    folder = Path(mkdtemp(prefix="nginx-"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    names = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = " ".join(f"{name}_temp_path {folder}/{name};" for name in names)
    (folder / "risk.conf").write_text(render(shards, str(folder)))
    (folder / "risk-location.conf").write_text(
        LOCATION.replace("client_body_timeout 30s", f"client_body_timeout {body_timeout}")
    )
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(_MAIN.format(folder=folder, port=port, user=user, temporary=temporary))
    process = subprocess.Popen([program, "-e", str(folder / "error.log"), "-c", str(folder / "nginx.conf")])
    try:
        for _ in range(500):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, (folder / "error.log").read_text()
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder)
