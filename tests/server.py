"""A web server of files on this machine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote


class FileHandler(SimpleHTTPRequestHandler):
    """Files with ranges of bytes; those called ``whole`` without, and ``shaky`` ones fail now and then."""

    sent: dict[str, int]
    asked: dict[str, int]

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", unquote(self.path.removeprefix("/to/")) or self.path)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        path = Path(self.translate_path(self.path))
        if self.command == "GET":
            self.asked[path.name] = self.asked.get(path.name, 0) + 1
        if not path.is_file():
            self.send_error(404)
            return
        if path.name.startswith("closed"):
            self.send_error(403)
            return
        if path.name.startswith("shaky") and self.command == "GET" and self.asked[path.name] % 2:
            self.send_error(503)
            return
        data = path.read_bytes()
        wanted = self.headers.get("Range")
        start, end = 0, len(data)
        if wanted and not path.name.startswith("whole"):
            first, last = wanted.removeprefix("bytes=").split("-")
            start, end = int(first), min(int(last) + 1, len(data))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(data)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(end - start))
        self.send_header("ETag", f'"{len(data)}"')
        self.end_headers()
        if self.command == "HEAD":
            return
        self.sent[path.name] = self.sent.get(path.name, 0) + end - start
        self.wfile.write(data[start:end])

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving(folder: Path, handler: type[FileHandler] | None = None) -> Iterator[str]:
    """Serve the files of a folder; gives the address of the server."""
    handler = handler or type("Handler", (FileHandler,), {"sent": {}, "asked": {}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
