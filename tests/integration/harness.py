"""Starts the real binary on free ports and talks to it. Standard library only; clients with dependencies live in clients.py.

Nothing here sleeps for a fixed time: every wait ends with the event it waits for, or with a failure at its deadline.
"""

import concurrent.futures
import http.client
import json
import os
import pathlib
import queue
import re
import signal
import subprocess
import threading
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("INTACTKV_BINARY") or ROOT / "build" / "release" / "bin" / "intactkv")
DEADLINE_SECONDS = float(os.environ.get("INTACTKV_TEST_DEADLINE", "240"))
PAGE_TOKENS = 32


def model_path(variable="INTACTKV_TEST_MODEL", file="SmolLM2-135M-Instruct.Q4_1.gguf"):
    """What `variable` names, else `file` in the cache of scripts/fetch-model.sh; by default the default model."""
    named = os.environ.get(variable)
    if named:
        return pathlib.Path(named)
    cache = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(cache) / "intactkv" / file


def require_binary_and_model(model):
    if not BINARY.is_file():
        raise AssertionError(f"{BINARY} is not built")
    if not model.exists():
        raise unittest.SkipTest(f"{model} is not there; scripts/fetch-model.sh fetches the models that it knows")


def wait_until(condition, what, deadline=DEADLINE_SECONDS):
    """Polls `condition` until it gives something true, and returns that."""
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline:.0f} s: {what}")
        time.sleep(0.01)


class Server:
    """One running `intactkv serve`. A context manager: leaving it ends the process. With wait=False it may still be loading;
    then wait_address and wait_ready wait for what they name."""

    def __init__(self, *arguments, wait=True, model=None):
        model = model or model_path()
        require_binary_and_model(model)
        command = [BINARY, "serve", "--model", model, "--port", "0", "--admin-port", "0", "--grpc-port", "0"]
        self.process = subprocess.Popen([*map(str, command), *map(str, arguments)], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        self.lines = []
        self._queue = queue.Queue()
        self._model_name = None
        threading.Thread(target=self._read, daemon=True).start()
        if not wait:
            return
        try:
            self.wait_ready()
        except BaseException:
            self.kill()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.kill()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            self._queue.put(self.lines[-1])
        self._queue.put(None)

    def wait_ready(self):
        end = time.monotonic() + DEADLINE_SECONDS
        while True:
            try:
                line = self._queue.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"the server was not ready in time:\n{self.log()}") from None
            if line is None:
                raise AssertionError(f"the server ended before it was ready:\n{self.log()}")
            if line.strip() == "ready":
                break
        self.http = self.address("http")
        self.admin = self.address("admin")
        self.grpc = self.address("grpc")

    def log(self):
        return "\n".join(self.lines[-60:])

    def address(self, kind):
        """'127.0.0.1:PORT', as the server printed it."""
        return self.printed(rf"listening {kind} (\S+:\d+)")

    def wait_address(self, kind):
        """As address, of a server that may not have printed it yet."""
        return wait_until(lambda: self.process.poll() is None and
                          any(line.startswith(f"listening {kind} ") for line in list(self.lines)) and self.address(kind),
                          f"the server listens on {kind}")

    def printed(self, pattern):
        for line in list(self.lines):
            found = re.search(pattern, line)
            if found:
                return found[1]
        raise AssertionError(f"the server printed no '{pattern}':\n{self.log()}")

    def planned_bytes(self):
        return int(self.printed(r"memory plan total (\d+) bytes"))

    def resident_bytes(self):
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"^VmRSS:\s+(\d+) kB", text, re.M)[1]) * 1024

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def wait_exit(self):
        try:
            return self.process.wait(timeout=DEADLINE_SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the server did not end:\n{self.log()}") from None

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    # --- HTTP ---------------------------------------------------------------------------------------------------------

    def request(self, method, path, body=None, address=None):
        """(status, headers, body bytes)"""
        connection = http.client.HTTPConnection(address or self.http, timeout=DEADLINE_SECONDS)
        try:
            headers = {"Content-Type": "application/json"} if body is not None else {}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        finally:
            connection.close()

    def call(self, method, path, body=None, address=None):
        """The JSON answer of a call that must succeed."""
        status, _, text = self.request(method, path, body, address)
        if status != 200:
            raise AssertionError(f"{method} {path}: {status} {text.decode(errors='replace')}")
        return json.loads(text)

    def model_name(self):
        if self._model_name is None:
            self._model_name = self.call("GET", "/v1/models")["data"][0]["id"]
        return self._model_name

    def chat(self, **fields):
        return self.call("POST", "/v1/chat/completions", {"model": self.model_name(), **fields})

    def stream(self, path, **fields):
        return EventStream(self.http, path, {"model": self.model_name(), **fields, "stream": True})

    # --- what the server says of itself -------------------------------------------------------------------------------

    def metrics(self):
        """{'name{labels}': value}"""
        status, _, text = self.request("GET", "/metrics", address=self.admin)
        if status != 200:
            raise AssertionError(f"/metrics: {status}")
        samples = (line.rsplit(" ", 1) for line in text.decode().splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, value in samples}

    def counter(self, name):
        """The sum of a metric over its labels."""
        values = [value for sample, value in self.metrics().items() if sample.split("{")[0] == name]
        if not values:
            raise AssertionError(f"/metrics has no {name}")
        return sum(values)

    def audit(self):
        return self.call("GET", "/admin/kv/audit", address=self.admin)

    def wait_idle(self):
        """Until no sequence runs or waits and no page is owned by one; then the audit must be clean."""

        def idle_audit():
            report = self.audit()
            return report if all(pages["owned"] == 0 for pages in report["pages"].values()) else None

        report = wait_until(idle_audit, "no page is owned by a sequence")
        if report["problems"] or any(pages["unaccounted"] for pages in report["pages"].values()):
            raise AssertionError(f"the audit is not clean: {report}")
        return report


class EventStream:
    """A server-sent event stream, read event by event; closing it early is what a client that leaves does."""

    def __init__(self, address, path, body):
        self.connection = http.client.HTTPConnection(address, timeout=DEADLINE_SECONDS)
        self.connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        self.response = self.connection.getresponse()
        if self.response.status != 200:
            text = self.response.read().decode(errors="replace")
            self.close()
            raise AssertionError(f"{path}: {self.response.status} {text}")

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def __iter__(self):
        """Yields each event's JSON; ends at [DONE], and only there."""
        for line in self.response:
            if not line.startswith(b"data: "):
                if line.strip() and not line.startswith(b":"):
                    raise AssertionError(f"not an event line: {line!r}")
                continue
            data = line[len(b"data: "):].strip()
            if data == b"[DONE]":
                return
            yield json.loads(data)
        raise AssertionError("the stream ended without [DONE]")

    def close(self):
        self.connection.close()


def all_at_once(calls):
    """Runs the callables on a thread each, started together; their results in order. The first failure is raised."""
    together = threading.Barrier(len(calls))

    def run(call):
        together.wait()
        return call()

    with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(run, call) for call in calls]]


def common_prefix(a, b):
    """How many leading elements are equal."""
    return next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))


class ServerCase(unittest.TestCase):
    """Tests that share one server in the default configuration, `self.server`."""

    MODEL = None  # a path instead of the default model

    @classmethod
    def setUpClass(cls):
        cls.server = Server(model=cls.MODEL)
        cls.addClassCleanup(cls.server.kill)
