"""Run a command line as a process of its own, with the cards that $NLVID_TEST_CARDS names as the manifest."""

import json
import os
from pathlib import Path

from nlvid_cli.app import main
from nlvid_cli.card import manifest
from nlvid_cli.card.card import card_from_json

cards = tuple(card_from_json(text, "test") for text in json.loads(Path(os.environ["NLVID_TEST_CARDS"]).read_text()))
manifest._read_manifest = lambda _: manifest.Manifest(cards, ())
main()
