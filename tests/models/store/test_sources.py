"""Which hosts ``nlvid doctor`` reports as reachable."""

import os

import pytest

from nlvid_cli.card.card import card_to_json


@pytest.fixture
def reach(forks, server, make_card):
    index = {"kind": "index", "project": "pkg", "version": "1", "archive": "a.whl", "member": "m", "sha256": "0" * 64}
    urls = [{"kind": "url", "url": f"{server.url}/{name}"} for name in ("first", "second")]
    cards = [card_to_json(make_card(source)) for source in (index, *urls)]

    def run(**environment):
        return forks.start("ask_hosts", [cards], os.environ | environment).result()[0]

    return run


def test_hosts_are_reported_with_their_answers(reach, server, tools):
    server.pages["/"] = tools.Page(b"hub")
    server.pages["/simple/pkg/"] = tools.Page(b"index")
    extra = "http://me:hunter2@127.0.0.1:9/simple"
    assert reach(HF_ENDPOINT=server.url, PIP_INDEX_URL=f"{server.url}/simple", PIP_EXTRA_INDEX_URL=extra) == [
        [server.host, True, "answers (HTTP 200)"],
        [server.host, True, "answers (HTTP 200)"],
        ["127.0.0.1:9", False, "connection refused"],
        [server.host, False, "answers (HTTP 404)"],
    ]
    assert [path for _, path, _ in server.requests] == ["/", "/simple/pkg/", "/first"]


def test_hosts_that_are_switched_off_are_not_asked(reach, server):
    assert reach(HF_ENDPOINT=server.url, HF_HUB_OFFLINE="1", PIP_NO_INDEX="1") == [
        [server.host, False, "not asked, HF_HUB_OFFLINE is set"],
        ["the package index", False, "PIP_NO_INDEX forbids its use"],
        [server.host, False, "answers (HTTP 404)"],
    ]
    assert [path for _, path, _ in server.requests] == ["/first"]
