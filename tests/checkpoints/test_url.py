"""Files behind plain addresses."""

import pytest

from nlvid_cli.checkpoints.cache import cached_path, ready_path
from nlvid_cli.checkpoints.fetch import fetch, open_checkpoint
from nlvid_cli.errors import ChecksumMismatch, ModelFileError, ModelUnavailable

PATH = "/models/weights%20one.ckpt"


@pytest.fixture
def at_url(server, tools, make_card, flax_file):
    """Publish a file at an address and give the card for it."""

    def put(data=flax_file, sha256=None, path=PATH, **fields):
        server.pages[path] = tools.Page(data)
        sha256 = tools.sha256(data) if sha256 is None else sha256
        source = {"kind": "url", "url": server.url + path}
        return make_card(source | ({"sha256": sha256} if sha256 else {}), **fields)

    return put


def test_a_foreign_file_is_converted(at_url, cache):
    path = fetch(at_url())
    assert len(open_checkpoint(path)[1]) == 287
    assert list((cache / "downloads").iterdir()) == []


def test_a_file_of_nlvid_is_kept_as_it_is(at_url, flax_file, server):
    published = fetch(at_url()).read_bytes()
    card = at_url(published, format="safetensors", name="ready.test")
    path = fetch(card)
    assert path == ready_path(card)
    assert path.read_bytes() == published


def test_a_safetensors_file_without_a_card_is_refused(at_url, cache):
    from safetensors.numpy import save

    with pytest.raises(ModelFileError, match="no model card"):
        fetch(at_url(save({}), format="safetensors"))
    assert list(cache.rglob("*.safetensors*")) == []


def test_a_wrong_file_is_not_used(at_url, cache, server):
    with pytest.raises(ChecksumMismatch, match=server.host):
        fetch(at_url(sha256="0" * 64))
    assert [path for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"] == []
    assert len(server.ranges(PATH)) == 1  # a whole file that is wrong is not fetched twice


def test_without_a_sum_a_download_is_not_resumed_over_runs(at_url, server, flax_file):
    card = at_url(flax_file * 10, sha256="")
    server.pages[PATH].faults = [("cut", 50_000)] + [("cut", 0)] * 3
    with pytest.raises(ModelUnavailable):
        fetch(card)
    server.pages[PATH].body = flax_file + b"what follows the pickle's end" * 10_000
    assert fetch(card).is_file()
    assert server.ranges(PATH)[-1] is None


@pytest.mark.parametrize("url", ["http://example.org/weights", "http://127.0.0.1.example.org/weights"])
def test_plain_http_is_refused_elsewhere(make_card, url):
    with pytest.raises(ModelUnavailable, match="plain http is not used"):
        fetch(make_card({"kind": "url", "url": url}))


def test_a_redirection_to_plain_http_is_refused(at_url, server, monkeypatch, tools, flax_file):
    card = at_url()
    server.pages[PATH].status = 302
    server.pages["/elsewhere"] = tools.Page(flax_file)
    monkeypatch.setenv("NO_PROXY", "*")
    other = f"127.1:{server.host.rpartition(':')[2]}"  # the same server, by a name that is not among the allowed
    server.pages[PATH].headers = {"Location": f"http://{other}/elsewhere"}
    with pytest.raises(ModelUnavailable, match=f"{other}: plain http is not used"):
        fetch(card)
    assert cached_path(card) is None


@pytest.mark.parametrize(("status", "words"), [(404, "not there"), (403, "forbidden"), (500, "has a problem")])
def test_a_refusal_is_told_in_words(at_url, server, status, words):
    card = at_url()
    server.pages[PATH].status = status
    with pytest.raises(ModelUnavailable, match=rf"{server.host}: weights one\.ckpt: .*{words}.* \(HTTP {status}\)"):
        fetch(card)


def test_nobody_listens(make_card):
    with pytest.raises(ModelUnavailable, match=r"127\.0\.0\.1:9: connection refused"):
        fetch(make_card({"kind": "url", "url": "http://127.0.0.1:9/x"}))


def test_a_name_that_does_not_exist(make_card):
    with pytest.raises(ModelUnavailable, match=r"nowhere\.invalid: the (name cannot be resolved|proxy)"):
        fetch(make_card({"kind": "url", "url": "https://nowhere.invalid/x"}))


def test_a_ca_file_that_is_not_there(make_card, server, monkeypatch):
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    monkeypatch.setenv("PIP_CERT", "/no/such/file")
    with pytest.raises(ModelUnavailable, match=rf"{server.host}: .*/no/such/file \(see REQUESTS_CA_BUNDLE"):
        fetch(make_card({"kind": "url", "url": f"https://{server.host}/x"}))


def test_a_server_that_speaks_no_tls(make_card, server):
    with pytest.raises(ModelUnavailable, match=rf"{server.host}: its certificate is not accepted"):
        fetch(make_card({"kind": "url", "url": f"https://{server.host}/x"}))


def test_progress_counts_every_byte_once(at_url, server, tools, flax_file):
    class Bar:
        def __init__(self):
            self.steps = []

        def start(self, description, total_bytes):
            self.steps = [(description, total_bytes)]

        def advance(self, size_bytes):
            self.steps.append(size_bytes)

        def finish(self):
            self.steps.append("finished")

    data = flax_file * 10
    card = at_url(data)
    server.pages[PATH].faults = [("cut", 50_000)]
    bar = Bar()
    fetch(card, bar)
    (description, total), *steps, last = bar.steps
    assert (description, total, last) == ("Downloading weights one.ckpt", len(data), "finished")
    assert sum(steps) == len(data)
