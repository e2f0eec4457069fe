"""Start the suite in order, keep it running, stop it in order."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx
from sqlalchemy.exc import OperationalError

from cli.paths import ROOT
from cli.supervisor.checkpoints import ensure_checkpoints
from cli.supervisor.children import Child, ChildFailedError, listen, meaning, url_of
from cli.supervisor.keys import Keys, ensure_keys
from cli.supervisor.lock import Lock, Running
from cli.supervisor.storage import DATABASE, Storage
from shared.embedded.privileges import end_with_parent
from shared.migrations import SERVICES, upgrade

FRONT = "front"
_READY_SECONDS = 60
_POLL_SECONDS = 0.05
_WATCH_SECONDS = 0.2
_STOPPED_BY = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Say = Callable[[str], None]


class StartError(Exception):
    """The suite cannot be started, and why."""


class StoppedError(Exception):
    """Somebody asked the suite to stop."""


class Suite:
    """The suite of one folder: storage, services, front, and the work that is run through it."""

    def __init__(self, var: Path, host: str, port: int, say: Say) -> None:
        self._var = var
        self._say = say
        self._lock = Lock(var)
        self._lock.acquire()
        try:
            self._front = listen(host, port)
        except OSError as error:
            self._lock.release()
            raise StartError(
                f"port {port} of {host} cannot be used ({error.strerror}); choose another: make up PORT=8081"
            ) from None
        self.url = url_of(self._front)
        self._storage = Storage(var)
        self._children: list[Child] = []
        self._jobs: list[subprocess.Popen[bytes]] = []
        self._found: dict[str, str] = {}
        self._asked = 0
        self.keys: Keys | None = None

    def start(self) -> dict[str, dict[str, str | None]]:
        """Start everything and wait until it is ready; return each process's dependencies, None where well.

        Raises StartError, EmbeddedServerError, ChildFailedError or StoppedError.
        """
        for number in _STOPPED_BY:
            signal.signal(number, self._on_signal)
        (self._var / "logs").mkdir(parents=True, exist_ok=True)
        storage = self._found = self._storage.start()
        self._check()
        for service in SERVICES:
            try:
                upgrade(service, storage[DATABASE])
            except OperationalError as error:
                raise StartError(f"the database cannot be used: {str(error.orig).strip()}") from None
            self._check()
        self.keys = ensure_keys(self._var)
        self._start_children(storage, self.keys)
        states = self._await_ready()
        self._lock.publish(Running(os.getpid(), self.url, str(self.keys.admin), str(self.keys.service)))
        return states

    def job(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a `keelson` command on this suite, its output beside ours."""
        job = subprocess.Popen(
            end_with_parent([sys.executable, "-m", "cli.main", *arguments], "TERM"),
            cwd=ROOT,
            env={**os.environ, "KEELSON_VAR": str(self._var)},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._jobs.append(job)
        return job

    def wait(self, until: subprocess.Popen[bytes] | None = None) -> int:
        """Keep everything running until a job ends, or for ever; return the job's exit code.

        Raises StoppedError when asked to stop, ChildFailedError where a process cannot be helped.
        """
        while until is None or until.poll() is None:
            self._check()
            self._keep_storage()
            for child in self._children:
                told = child.watch()
                if told:
                    self._say(told)
            time.sleep(_WATCH_SECONDS)
        return until.returncode

    def stop(self) -> None:
        """Stop everything this suite started, in the order in which it is safe."""
        for job in self._jobs:
            if job.poll() is None:
                job.terminate()
        for job in self._jobs:
            try:
                job.wait(0 if self._asked > 1 else 10)
            except subprocess.TimeoutExpired:
                job.kill()
                job.wait()
        for child in reversed(self._children):
            child.ask_to_stop()
        for child in reversed(self._children):
            child.stop(at_once=self._asked > 1)
        self._storage.stop()
        self._front.close()
        self._lock.release()

    def _keep_storage(self) -> None:
        ended = self._storage.ended()
        for name, code, log in ended:
            self._say(f"{name} ended with {meaning(code)}; it starts again (see {log})")
        found = self._storage.start()
        for name, _, _ in ended:
            self._say(f"{name} started again")
        if found != self._found:
            # A server that was gone lost its port to another program, and answers at a new one.
            self._found = found
            for child in self._children:
                if child.name != FRONT:
                    child.move(found)

    def _start_children(self, storage: Mapping[str, str], keys: Keys) -> None:
        checkpoints = ensure_checkpoints(self._var)
        listeners = {service: listen("127.0.0.1", 0) for service in SERVICES}
        environment = {
            **os.environ,
            **{f"TRADING_{service.upper()}_URL": url_of(listener) for service, listener in listeners.items()},
            "TRADING_API_KEYS_FILE": str(keys.hashes),
            "TRADING_SERVICE_TOKEN_FILE": str(keys.service),
        }
        environment.setdefault(
            "TRADING_ELASTICSEARCH_FALLBACK_FILE", str(self._var / "logs/elasticsearch-fallback.json")
        )
        for name, listener in {**listeners, FRONT: self._front}.items():
            # The front keeps no data, and gets no way to any.
            own = {} if name == FRONT else {**storage, **(checkpoints if name == "risk" else {})}
            child = Child(name, listener, {**environment, **own}, self._var / "logs")
            child.start()
            self._children.append(child)

    def _await_ready(self) -> dict[str, dict[str, str | None]]:
        deadline = time.monotonic() + _READY_SECONDS
        with httpx.Client(base_url=self.url, timeout=5, trust_env=False) as client:
            waiting = {service: f"/services/{service}/readyz" for service in SERVICES}
            states: dict[str, dict[str, str | None]] = {}
            last = ""
            while waiting:
                self._check()
                for child in self._children:
                    if child.pid is None:
                        child.watch()
                        raise ChildFailedError(f"{child.name} does not start: {child.last_words()}")
                if time.monotonic() > deadline:
                    raise StartError(f"not ready after {_READY_SECONDS} s: {', '.join(waiting)}; {last}")
                for service, path in list(waiting.items()):
                    try:
                        answer = client.get(path)
                    except httpx.HTTPError as error:
                        last = type(error).__name__
                        break
                    if answer.status_code == httpx.codes.OK:
                        found = answer.json()["dependencies"]
                        states[service] = {name: state["detail"] for name, state in found.items()}
                        del waiting[service]
                    else:
                        last = answer.text
                time.sleep(_POLL_SECONDS)
        return {service: states[service] for service in SERVICES}

    def _check(self) -> None:
        if self._asked:
            raise StoppedError

    def _on_signal(self, _number: int, _frame: object) -> None:
        self._asked += 1
