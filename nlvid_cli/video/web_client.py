"""The HTTP client that fsspec reads videos with: it asks :mod:`nlvid_cli.system.addresses` where it may go."""

from __future__ import annotations

import asyncio
import socket
from functools import partial
from types import SimpleNamespace
from typing import Any
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies

import aiohttp
from aiohttp.abc import ResolveResult

from nlvid_cli.system.addresses import (
    KINDS,
    Kind,
    kind_of_ip,
    require_allowed,
    require_redirect,
)


class _Resolver(aiohttp.ThreadedResolver):
    """Resolves names to addresses that may be reached; a name that changes its address between two hops gains nothing.

    Args:
        first: Kind of the address that the user named.
    """

    def __init__(self, first: Kind) -> None:
        super().__init__()
        self._first = first

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a host.

        Raises:
            RefusedRedirect: One of them may not be reached.
        """
        found = await super().resolve(host, port, family)
        if host not in {urlsplit(proxy).hostname for proxy in getproxies().values()}:
            require_allowed(self._first, host, {kind_of_ip(one["host"]) for one in found})
        return found


async def _client(first: Kind, **options: Any) -> aiohttp.ClientSession:
    async def on_redirect(
        session: aiohttp.ClientSession, state: SimpleNamespace, hop: aiohttp.TraceRequestRedirectParams
    ) -> None:
        headers = hop.response.headers
        target = urljoin(str(hop.url), headers.get("Location") or headers.get("URI") or "")
        resolving = partial(require_redirect, first, str(hop.url), target)
        await asyncio.get_running_loop().run_in_executor(None, resolving)

    trace = aiohttp.TraceConfig()
    trace.on_request_redirect.append(on_redirect)
    connector = aiohttp.TCPConnector(resolver=_Resolver(first))
    return aiohttp.ClientSession(**{"connector": connector} | options, trace_configs=[trace])


CLIENTS = {kind: partial(_client, kind) for kind in KINDS}
"""Makers of clients, by the kind of the address that the user named. fsspec keeps one client for each of them."""
