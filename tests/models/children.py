"""What the processes of :mod:`tests.models.forks` run. Results are JSON."""

import json
import logging
import sys

from nlvid_cli.card import manifest
from nlvid_cli.card.card import card_from_json
from nlvid_cli.errors import NlvidError

CLIENTS = ("huggingface_hub", "pypi_simple", "requests", "filelock", "torch", "httpx", "httpx2")
notes = []


class Notes(logging.Handler):
    def emit(self, record):
        notes.append(record.getMessage())


class Bytes:
    """Records the progress of a download."""

    def __init__(self):
        self.seen = []

    def start(self, description, total_bytes):
        self.seen.append(["start", description, total_bytes])

    def advance(self, size_bytes):
        self.seen.append(["advance", size_bytes])

    def finish(self):
        self.seen.append(["finish"])


def _use_manifest(cards):
    read = manifest.Manifest(tuple(card_from_json(text, "test") for text in cards), ())
    manifest._read_manifest = lambda _: read


def command_line(cards, arguments):
    """Run nlvid with these cards as the manifest, and return its exit status."""
    from nlvid_cli.app import main

    _use_manifest(cards)
    sys.argv = ["nlvid", *arguments]
    try:
        main()
    except SystemExit as end:
        return end.code or 0
    return 0


def fetch_cards(cards):
    """Find the file of each card, and return the result of each."""
    logging.getLogger("nlvid_cli").addHandler(Notes())
    logging.getLogger("nlvid_cli").setLevel(logging.INFO)
    return [_fetch(card_from_json(text, "test")) for text in cards]


def _fetch(card):
    from nlvid_cli.models.find import find_file

    notes.clear()
    progress = Bytes()
    try:
        result = {"path": str(find_file(card, progress))}
    except NlvidError as error:
        result = {"error": type(error).__name__, "message": str(error), "status": error.exit_status}
    clients = [name for name in CLIENTS if name in sys.modules]
    return result | {"notes": list(notes), "progress": progress.seen, "clients": clients}


def ask_hosts(cards):
    """Return what ``nlvid doctor`` reports about the hosts of these cards."""
    from nlvid_cli.models.store.sources import reachable_hosts

    _use_manifest(cards)
    return reachable_hosts()


if __name__ == "__main__":  # in a process that has imported nothing before
    print(json.dumps(fetch_cards(json.load(sys.stdin))))
