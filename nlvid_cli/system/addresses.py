"""Where redirects of web servers may lead. Models and videos alike ask here before each hop.

A server out on the internet has no business with what only this machine can reach: its own services, its neighbours,
and the metadata of a cloud, which hands out credentials (169.254.169.254)::

                               may lead to
    the first address is       public   private   loopback   link-local
    public                     yes      no        no         no
    private, loopback          yes      yes       yes        no
    link-local                 yes      yes       yes        yes

A host is what its name resolves to: if only one of its addresses is refused, so is the host.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from typing import Literal
from urllib.parse import unquote, urlsplit

Kind = Literal["public", "private", "loopback", "link-local"]

KINDS: tuple[Kind, ...] = ("public", "private", "loopback", "link-local")
"""Kinds of addresses, the one that everybody may name first."""

_EMBEDDING = tuple(ipaddress.ip_network(text) for text in ("64:ff9b::/96", "64:ff9b:1::/48", "::/96"))
"""IPv6 networks whose addresses end in an IPv4 address: NAT64 (RFC 6052, RFC 8215), IPv4-compatible (RFC 4291)."""


class RefusedRedirect(Exception):
    """A server leads to where it may not."""


def kind_of_ip(text: str) -> Kind:
    """Return the kind of an IP address; one that carries another, such as ``::ffff:10.0.0.1``, is of the other's kind.

    Raises:
        ValueError: It is not an IP address.
    """
    address = ipaddress.ip_address(text.partition("%")[0])  # %: the interface of a link-local address
    if isinstance(address, ipaddress.IPv6Address):
        inner = _embedded(address)
        if inner is not None:
            return kind_of_ip(str(inner))
    if address.is_link_local:
        return "link-local"
    if address.is_loopback or address.is_unspecified:  # 0.0.0.0 reaches this machine, too
        return "loopback"
    return "public" if address.is_global and not address.is_multicast else "private"


def _embedded(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    is_own = address.is_loopback or address.is_unspecified
    if not is_own and any(address in network for network in _EMBEDDING):
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return None


def kinds_of_host(host: str, resolve: bool = True) -> set[Kind]:
    """Return the kinds of all addresses of a host; none if it is unknown.

    Args:
        host: A name, or an address in any notation.
        resolve: Whether to look names up. Behind a proxy, only the proxy may be able to.
    """
    try:
        flags = 0 if resolve else socket.AI_NUMERICHOST
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=flags)
    except (OSError, UnicodeError):
        return set()
    return {kind_of_ip(str(entry[4][0])) for entry in found}


def first_kind(url: str, resolve: bool = True) -> Kind:
    """Return the kind of the address that the user named; "public" if its host is of several kinds or unknown."""
    kinds = kinds_of_host(_host(url), resolve)
    return kinds.pop() if len(kinds) == 1 else "public"


def require_allowed(first: Kind, host: str, kinds: Iterable[Kind]) -> None:
    """Refuse a host that requests which begin at the first address may not reach.

    Args:
        first: Kind of the first address.
        host: The host, for the message.
        kinds: Kinds of its addresses.

    Raises:
        RefusedRedirect: One of them is not allowed.
    """
    for kind in kinds:
        if kind != "public" and (first == "public" or (kind == "link-local" and first != "link-local")):
            raise RefusedRedirect(f"it leads to {host}, a {kind} address, which was refused")


def require_redirect(first: Kind, from_url: str, to_url: str, resolve: bool = True) -> None:
    """Refuse a redirect to another scheme, from https to http, or to a host that may not be reached.

    Args:
        first: Kind of the address that the user named.
        from_url: The address that redirects.
        to_url: The address that it redirects to, absolute.
        resolve: Whether to look names up.

    Raises:
        RefusedRedirect: The redirect must not be followed.
    """
    before, after = urlsplit(from_url).scheme.lower(), urlsplit(to_url).scheme.lower()
    if after not in ("http", "https"):
        raise RefusedRedirect(f"it leads to an address that begins with {after or 'nothing'}:, which was refused")
    if before == "https" and after == "http":
        raise RefusedRedirect("it leads from https to plain http, which was refused")
    host = _host(to_url)
    require_allowed(first, host, kinds_of_host(host, resolve))


def _host(url: str) -> str:
    try:
        return unquote(urlsplit(url).hostname or "")
    except ValueError:
        return ""
