"""Fetch the cards that stdin names, as a process of its own, and print what came of each as JSON."""

import json
import logging
import sys

from nlvid_cli.card.card import card_from_json
from nlvid_cli.errors import NlvidError
from nlvid_cli.models.find import find_file

CLIENTS = ("huggingface_hub", "pypi_simple", "requests", "filelock", "torch", "httpx", "httpx2")


class Bytes:
    def __init__(self):
        self.seen = []

    def start(self, description, total_bytes):
        self.seen.append(["start", description, total_bytes])

    def advance(self, size_bytes):
        self.seen.append(["advance", size_bytes])

    def finish(self):
        self.seen.append(["finish"])


notes = []


class Notes(logging.Handler):
    def emit(self, record):
        notes.append(record.getMessage())


logging.getLogger("nlvid_cli").addHandler(Notes())
logging.getLogger("nlvid_cli").setLevel(logging.INFO)


def attempt(card):
    notes.clear()
    progress = Bytes()
    try:
        path = find_file(card, progress)
        result = {"path": str(path)}
    except NlvidError as error:
        result = {"error": type(error).__name__, "message": str(error), "status": error.exit_status}
    clients = [name for name in CLIENTS if name in sys.modules]
    return result | {"notes": list(notes), "progress": progress.seen, "clients": clients}


print(json.dumps([attempt(card_from_json(text, "stdin")) for text in json.load(sys.stdin)]))
