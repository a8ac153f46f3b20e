"""Run functions in processes of their own, forked from one that has imported the slow libraries already.

``huggingface_hub`` reads its environment variables when it is imported, so each process imports it again.
"""

import json
import os
import socket
import socketserver
import sys
import tempfile
import warnings
from importlib import import_module
from pathlib import Path
from subprocess import DEVNULL, Popen
from time import monotonic, sleep

PRELOADED = (
    "nlvid_cli.commands.models.pull",
    "nlvid_cli.commands.models.push",
    "nlvid_cli.commands.progress",
    "nlvid_cli.models.publish",
    "nlvid_cli.models.store.fetch",
    "nlvid_cli.models.store.sources.hub",
    "nlvid_cli.models.store.sources.index",
    "nlvid_cli.models.store.sources.url",
)
IMPORTED_AGAIN = ("huggingface_hub", "nlvid_cli.models.publish", "nlvid_cli.models.store.sources.hub")
START_SECONDS = 60.0


class Fork:
    """A process that is running a function of :mod:`tests.models.children`."""

    def __init__(self, address, function, arguments, environment):
        self._files = [tempfile.TemporaryFile("w+") for _ in range(2)]  # noqa: SIM115
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(address)
        request = {"function": function, "arguments": arguments, "environment": environment}
        descriptors = [file.fileno() for file in self._files]
        socket.send_fds(self._socket, [json.dumps(request).encode() + b"\n"], descriptors)

    def result(self):
        """Wait for its end: what the function returned, its stdout and its stderr."""
        with self._socket, self._socket.makefile() as answer:
            returned = json.loads(answer.readline() or "null")
        texts = []
        for file in self._files:
            with file:
                file.seek(0)
                texts.append(file.read())
        assert returned is not None, texts[1]
        return returned, *texts


class ForkServer:
    """Starts the process that is forked."""

    def __init__(self, folder):
        self._address = str(Path(folder) / "forks")
        self._process = Popen([sys.executable, "-m", __name__, self._address], stdin=DEVNULL)
        end = monotonic() + START_SECONDS
        while not Path(self._address).exists():
            assert self._process.poll() is None, "the process that is forked has ended"
            assert monotonic() < end, "the process that is forked does not start"
            sleep(0.01)

    def start(self, function, arguments, environment):
        return Fork(self._address, function, arguments, environment)

    def close(self):
        self._process.kill()
        self._process.wait()


class _Handler(socketserver.BaseRequestHandler):
    """Runs in the forked process."""

    def handle(self):
        data, descriptors, _, _ = socket.recv_fds(self.request, 2**20, 2)
        while not data.endswith(b"\n"):
            data += self.request.recv(2**20)
        request = json.loads(data)
        os.environ.clear()
        os.environ.update(request["environment"])
        for number, descriptor in enumerate(descriptors, start=1):
            os.dup2(descriptor, number)
        _forget(IMPORTED_AGAIN)
        warnings.simplefilter("error")
        function = getattr(import_module("tests.models.children"), request["function"])
        returned = function(*request["arguments"])
        sys.stdout.flush()
        sys.stderr.flush()
        self.request.sendall(json.dumps(returned).encode() + b"\n")


def _forget(modules):
    """Let modules be imported again, though their packages know them too."""
    for name in list(sys.modules):
        if name.startswith(modules):
            del sys.modules[name]
            package, _, last = name.rpartition(".")
            if package in sys.modules and hasattr(sys.modules[package], last):
                delattr(sys.modules[package], last)


class _Server(socketserver.ForkingMixIn, socketserver.UnixStreamServer):
    request_queue_size = 16


if __name__ == "__main__":
    for name in PRELOADED:
        import_module(name)
    with _Server(sys.argv[1], _Handler) as server:
        server.serve_forever(poll_interval=0.05)
