"""A local server that misbehaves on demand, and small cards and checkpoints to fetch from it."""

import hashlib
import io
import json
import logging
import os
import pickle
import socket
import struct
import subprocess
import sys
import tarfile
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from tempfile import TemporaryDirectory
from threading import Event, Thread

import numpy as np
import pytest

from nlvid_cli.card import manifest
from nlvid_cli.card.card import card_from_dict, card_to_json
from nlvid_cli.models.formats.flax_i3d import UNITS
from nlvid_cli.models.store import download, session
from tests.conftest import REPOSITORY, Outcome
from tests.models.forks import ForkServer

USERS_ENVIRONMENT = dict(os.environ)


DRIP_SECONDS = 0.02
STALL_SECONDS = 30.0


@dataclass
class Page:
    """The server's answer at one path.

    Each GET request uses up one of ``faults``. A number is a status instead of the answer. ("cut", n) closes the
    connection after n bytes, ("reset", n) breaks it, ("stall", n) sends nothing more after n bytes, and ("drip", n)
    sends n bytes at a time with a pause after each. "whole" ignores the Range header, "shifted" answers it from the
    wrong byte, "short" with 1000 bytes, and a function is called to change the page.
    """

    body: bytes = b""
    status: int = 200
    headers: dict[str, str | None] = field(default_factory=dict)
    faults: list = field(default_factory=list)


class _QuietServer(ThreadingHTTPServer):
    def handle_error(self, *_):
        """Ignore clients that close the connection early; the tests provoke them."""


class LocalServer:
    """Serves ``pages`` and records ``requests``. ``take`` answers what is sent to it by POST and PUT."""

    def __init__(self):
        self.pages: dict[str, Page] = {}
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.take = lambda method, path, body: Page(status=404)
        self.ended = Event()
        self._http = _QuietServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self.host = f"127.0.0.1:{self._http.server_address[1]}"
        self.url = f"http://{self.host}"
        self._thread = Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def close(self):
        self.ended.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def ranges(self, path):
        """Return the Range header, or None, of each GET request for a path, in order."""
        return [headers.get("range") for method, asked, headers in self.requests if (method, asked) == ("GET", path)]


def _handler(server):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_HEAD(self):
            self._answer()

        def do_GET(self):
            self._answer()

        def do_POST(self):
            self._take()

        def do_PUT(self):
            self._take()

        def _take(self):
            headers = {name.lower(): value for name, value in self.headers.items()}
            chunked = headers.get("transfer-encoding") == "chunked"
            body = self._chunks() if chunked else self.rfile.read(int(headers.get("content-length", 0)))
            server.requests.append((self.command, self.path, headers))
            page = server.take(self.command, self.path, body)
            self._send(page.status, page.headers, page.body, None)

        def _chunks(self):
            body = b""
            while length := int(self.rfile.readline(), 16):
                body += self.rfile.read(length)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def _answer(self):
            path = self.path.partition("?")[0]
            headers = {name.lower(): value for name, value in self.headers.items()}
            server.requests.append((self.command, path, headers))
            page = server.pages.get(path, Page(b"not found", 404))
            fault = page.faults.pop(0) if page.faults and self.command == "GET" else None
            if callable(fault):
                fault = fault()
            if isinstance(fault, int):
                page = Page(b"broken", fault)
            status, start = page.status, 0
            extra = dict(page.headers)
            if status == 200 and extra.get("ETag", "") == headers.get("if-none-match"):
                self._send(304, extra | {"Content-Length": "0"}, b"", None)
                return
            is_same = headers.get("if-range") in (None, extra.get("ETag"))
            if "range" in headers and status == 200 and is_same and fault != "whole":
                start = int(headers["range"].removeprefix("bytes=").rstrip("-"))
                status = 206 if start < len(page.body) else 416
                start -= fault == "shifted"
                end = start + 1000 if fault == "short" else len(page.body)
                extra["Content-Range"] = f"bytes {start}-{end - 1}/{len(page.body)}"
                self._send(status, extra, page.body[start:end] if status != 416 else b"", fault)
                return
            self._send(status, extra, page.body[start:], fault)

        def _send(self, status, extra, body, fault):
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | extra).items():
                if value is not None:
                    self.send_header(name, value)
            self.end_headers()
            if self.command == "HEAD":
                return
            kind, count = fault if isinstance(fault, tuple) else ("", len(body))
            if kind == "drip":
                for start in range(0, len(body), count):
                    self.wfile.write(body[start : start + count])
                    time.sleep(DRIP_SECONDS)
                return
            self.wfile.write(body[:count])
            self.wfile.flush()
            if kind == "stall":
                server.ended.wait(STALL_SECONDS)
            if kind == "reset":  # linger 0 makes close() send RST
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if kind:
                self.close_connection = True
                self.connection.close() if kind == "reset" else self.connection.shutdown(socket.SHUT_WR)

    return Handler


@pytest.fixture
def server():
    local = LocalServer()
    yield local
    local.close()


@pytest.fixture(autouse=True)
def surroundings(tmp_path, monkeypatch):
    """An empty cache, no proxy, no index except those of the test, and no pause between attempts."""
    for name in list(os.environ):
        if name.startswith(("PIP_", "UV_", "HF_", "HUGGINGFACE_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("NLVID_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "huggingface"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for module in (download, session):
        monkeypatch.setattr(module, "BACKOFF_SECONDS", 0.001)


@pytest.fixture
def notes():
    """The notes of ``nlvid_cli.models`` to the user, in order."""
    logger, told = logging.getLogger("nlvid_cli.models"), []

    class Handler(logging.Handler):
        def emit(self, record):
            told.append(record.getMessage())

    handler, level = Handler(), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield told
    logger.setLevel(level)
    logger.removeHandler(handler)


@pytest.fixture
def real_environment(monkeypatch):
    """The user's own index, proxies and certificates, for tests with the real network."""
    for name, value in USERS_ENVIRONMENT.items():
        if name not in ("HF_HOME", "NLVID_CACHE"):
            monkeypatch.setenv(name, value)


@pytest.fixture
def cache(tmp_path):
    """The cache folder of the test."""
    return tmp_path / "cache"


@pytest.fixture
def make_card():
    """Build a card from sources. Other fields are those given, those of a small network, or those of the real I3D."""
    real = json.loads(card_to_json(manifest.find_card("i3d")))
    real |= {"architecture": json.loads(SMALL_NETWORK), "labels": {"kind": "single", "count": 3, "names": list("abc")}}

    def make(*sources, **fields):
        changes = {"name": "small.test", "aliases": [], "sources": list(sources)} | fields
        return card_from_dict(real | changes, "test")

    return make


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """Replace nlvid's weights folder by an empty one. Call it to set the cards of the manifest."""
    folder = tmp_path / "weights"
    (folder / "labels").mkdir(parents=True)

    def write(*cards, default=()):
        entries = [json.loads(card_to_json(card)) for card in cards]
        read = manifest.Manifest(tuple(card_from_dict(entry, "test") for entry in entries), tuple(default))
        monkeypatch.setattr(manifest, "_read_manifest", lambda _: read)
        for module in ("models.store.cache", "models.store.sources.bundled", "card.manifest"):
            monkeypatch.setattr(f"nlvid_cli.{module}.weights_folder", lambda: folder)
        return folder

    return write


@pytest.fixture(scope="session")
def flax_tree():
    """The nested dicts of an I3D checkpoint with two channels everywhere and three classes."""
    random = np.random.default_rng(0)

    def numbers(*shape):
        return random.standard_normal(shape, dtype=np.float32)

    tree = {"params": {}, "batch_stats": {}}
    for keys in UNITS.values():
        params, stats = tree["params"], tree["batch_stats"]
        for key in keys:
            params, stats = params.setdefault(key, {}), stats.setdefault(key, {})
        params["Conv_0"] = {"kernel": numbers(1, 2, 3, 4, 2)}
        params["BatchNorm_0"] = {"bias": numbers(2)}
        stats["BatchNorm_0"] = {"mean": numbers(1, 1, 1, 1, 2), "var": numbers(1, 1, 1, 1, 2)}
    head = {"kernel": numbers(1, 1, 1, 2, 3), "bias": numbers(3)}
    tree["params"]["Logits/Conv3d_0c_1x1"] = {"Conv_0": head}
    return tree


SMALL_NETWORK = """{
    "kind": "resnet", "block": "basic", "blocks": [1, 1, 1, 1], "width": 2,
    "stem": {"kernel": [1, 7, 7], "stride": [1, 2, 2], "padding": [0, 3, 3]},
    "pool1": {"kernel": [1, 3, 3], "stride": [1, 2, 2]},
    "head": {"pool": null, "scores": "softmax_of_mean"}
}"""


@pytest.fixture(scope="session")
def small_tensors():
    """Weights of the small network of ``make_card``."""
    from nlvid_cli.card.architecture import Head, Kernel3d, ResNetArchitecture
    from nlvid_cli.network.resnet3d import ResNet3d

    stem, pool = Kernel3d((1, 7, 7), (1, 2, 2), (0, 3, 3)), Kernel3d((1, 3, 3), (1, 2, 2))
    head = Head("softmax_of_mean", None)
    network = ResNet3d(ResNetArchitecture("resnet", (1, 1, 1, 1), stem, pool, head, "basic", width=2), 3)
    return {name: tensor.numpy() for name, tensor in network.state_dict().items() if tensor.ndim}


@pytest.fixture(scope="session")
def foreign_file(small_tensors):
    """A pickle of them."""
    return pickle.dumps(small_tensors, protocol=4)


@pytest.fixture
def publish(server, make_card, foreign_file):
    """Put a release on the server's index, and return its card. PIP_INDEX_URL selects the index."""

    def put(data=None, member="pkg-1.0/weights.ckpt", name="pkg-1.0.tar.gz", sha256=None, **fields):
        data = tar_of({"filler": FILLER, member: foreign_file}) if data is None else data
        link = f'<html><body><a href="/files/{name}">{name}</a></body></html>'
        server.pages["/simple/pkg/"] = Page(link.encode(), headers={"Content-Type": "text/html"})
        server.pages[f"/files/{name}"] = Page(data, headers={"ETag": '"one"'})
        source = {
            "kind": "index",
            "project": "pkg",
            "version": "1.0",
            "archive": name,
            "member": member,
            "sha256": sha256 or sha256_hex(data),
        }
        return make_card(source | fields)

    return put


FILLER = np.random.default_rng(1).bytes(200_000)
"""Makes an archive large enough to be interrupted in the middle."""


def sha256_hex(data):
    return hashlib.sha256(data).hexdigest()


def tar_of(members):
    """Make a tar.gz in memory. A value is the contents of a file, or a TarInfo of something else."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w:gz", compresslevel=1) as tar:
        for name, data in members.items():
            if isinstance(data, tarfile.TarInfo):
                data.name = name
                tar.addfile(data)
            else:
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
    return output.getvalue()


@pytest.fixture(scope="session")
def forks():
    """Starts functions of ``tests/models/children.py`` in processes of their own."""
    with TemporaryDirectory() as folder:
        server = ForkServer(folder)
        yield server
        server.close()


@pytest.fixture(scope="session")
def tools(forks):
    """The functions of this file that tests call."""

    class Tools:
        Page = Page
        sha256 = staticmethod(sha256_hex)
        tar = staticmethod(tar_of)

        @staticmethod
        def start_fetch(*cards, **environment):
            """Begin to fetch cards one after the other in a process of its own."""
            return forks.start("fetch_cards", [[card_to_json(card) for card in cards]], os.environ | environment)

        @classmethod
        def fetch_in_child(cls, *cards, **environment):
            """Fetch cards in a process of its own, and return the result of each."""
            return cls.start_fetch(*cards, **environment).result()[0]

        @staticmethod
        def fetch_in_fresh_process(*cards, **environment):
            """Fetch cards in a process that has imported nothing before."""
            done = subprocess.run(
                [sys.executable, "-W", "error", "-m", "tests.models.children"],
                input=json.dumps([card_to_json(card) for card in cards]),
                env=os.environ | {"PYTHONPATH": str(REPOSITORY)} | environment,
                cwd=REPOSITORY,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            return json.loads(done.stdout)

        @staticmethod
        def nlvid(cards, *arguments, **environment):
            """Run a command line in a process of its own, with some cards as the manifest."""
            variables = {name: value for name, value in (os.environ | environment).items() if value}
            texts = [card_to_json(card) for card in cards]
            return Outcome(*forks.start("command_line", [texts, [*map(str, arguments)]], variables).result())

    return Tools
