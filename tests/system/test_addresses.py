from __future__ import annotations

import socket

import pytest

from nlvid_cli.system.addresses import (
    KINDS,
    Kind,
    RefusedRedirect,
    first_kind,
    kind_of_ip,
    kinds_of_host,
    require_allowed,
    require_redirect,
)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("93.184.216.34", "public"),
        ("2606:4700::1111", "public"),
        ("10.0.0.1", "private"),
        ("172.16.0.1", "private"),
        ("192.168.1.1", "private"),
        ("100.64.0.1", "private"),
        ("100.100.100.200", "private"),
        ("224.0.0.1", "private"),
        ("255.255.255.255", "private"),
        ("fd00:ec2::254", "private"),
        ("127.0.0.1", "loopback"),
        ("127.1.2.3", "loopback"),
        ("::1", "loopback"),
        ("0.0.0.0", "loopback"),
        ("::", "loopback"),
        ("169.254.169.254", "link-local"),
        ("fe80::1", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("::ffff:169.254.169.254", "link-local"),
        ("::ffff:127.0.0.1", "loopback"),
        ("::ffff:93.184.216.34", "public"),
        ("::169.254.169.254", "link-local"),
        ("64:ff9b::a9fe:a9fe", "link-local"),
        ("64:ff9b:1::7f00:1", "loopback"),
        ("2002:a9fe:a9fe::1", "link-local"),
        ("2002:0a00:0001::1", "private"),
    ],
)
def test_kinds_of_addresses(text: str, kind: Kind) -> None:
    assert kind_of_ip(text) == kind


@pytest.mark.parametrize("host", ["2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.16689662", "169.254.169.254"])
def test_every_notation_of_an_address_is_the_address(host: str) -> None:
    assert kinds_of_host(host) == {"link-local"}
    assert kinds_of_host(host, resolve=False) == {"link-local"}


ALLOWED: dict[Kind, set[Kind]] = {
    "public": {"public"},
    "private": {"public", "private", "loopback"},
    "loopback": {"public", "private", "loopback"},
    "link-local": set(KINDS),
}


@pytest.mark.parametrize("first", KINDS)
@pytest.mark.parametrize("target", KINDS)
def test_where_a_chain_may_lead(first: Kind, target: Kind) -> None:
    if target in ALLOWED[first]:
        require_allowed(first, "host", {target})
    else:
        with pytest.raises(RefusedRedirect, match=target):
            require_allowed(first, "host", {"public", target})


def test_names_are_what_they_resolve_to(monkeypatch: pytest.MonkeyPatch) -> None:
    table = {"cloud.example": "169.254.169.254", "inside.example": "10.0.0.1", "web.example": "93.184.216.34"}

    def resolve(host: str, *_: object, **__: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        names = ["web.example", "inside.example"] if host == "both.example" else [host]
        if names[0] not in table:
            raise socket.gaierror("no such name")
        return [(2, 1, 6, "", (table[name], 0)) for name in names]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert first_kind("https://web.example/a") == "public"
    assert first_kind("https://inside.example/a") == "private"
    assert first_kind("https://both.example/a") == "public"
    assert first_kind("https://nowhere.example/a") == "public"
    require_redirect("public", "https://web.example/", "https://web.example/b")
    require_redirect("public", "https://web.example/", "https://nowhere.example/b")  # it fails when it is asked
    require_redirect("private", "http://inside.example/", "http://inside.example/b")
    for first, host in (("public", "cloud"), ("public", "inside"), ("public", "both"), ("loopback", "cloud")):
        with pytest.raises(RefusedRedirect, match=f"{host}.example"):
            require_redirect(first, "http://web.example/", f"http://me@{host}.example:80/")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("from_url", "to_url", "noun"),
    [
        ("http://a.example/", "file:///etc/passwd", "file:"),
        ("http://a.example/", "ftp://a.example/", "ftp:"),
        ("http://a.example/", "javascript:1", "javascript:"),
        ("https://127.0.0.1/", "http://127.0.0.1/", "plain http"),
        ("http://a.example/", "http://[::ffff:7f00:1]/", "loopback"),
        ("http://a.example/", "http://[fe80::1%25eth0]/", "link-local"),
    ],
)
def test_redirects_that_are_refused(from_url: str, to_url: str, noun: str) -> None:
    with pytest.raises(RefusedRedirect, match=noun):
        require_redirect("public", from_url, to_url)
