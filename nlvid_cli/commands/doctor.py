"""``nlvid doctor``: what a bug report needs to say about a machine."""

from __future__ import annotations

import os
import platform
import sys
from typing import Annotated, Any

import typer

from nlvid_cli._version import __version__
from nlvid_cli.commands.options import AsJson

PACKAGES = (
    "torch",
    "torchvision",
    "av",
    "onnxruntime-gpu",
    "onnxruntime",
    "numpy",
    "huggingface-hub",
    "typer",
)
VARIABLES = (
    "NLVID_CACHE", "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_ENDPOINT", "CUDA_VISIBLE_DEVICES",
    "OMP_NUM_THREADS", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL",
    "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy",
    "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT", "SSL_CERT_FILE",
)  # fmt: skip


Offline = Annotated[bool, typer.Option("--offline", help="Do not contact any host.")]


def doctor(as_json: AsJson = False, offline: Offline = False) -> None:
    """Show versions, devices, cache and sources.

    Include the output in a bug report; it holds no passwords.

    Examples:

      nlvid doctor

      nlvid doctor --json > report.json
    """
    from nlvid_cli.report.doctor import facts_table
    from nlvid_cli.report.stdout import print_json_or

    facts = gather(offline)
    print_json_or(as_json, lambda: facts, lambda: facts_table(facts))


def gather(offline: bool) -> dict[str, Any]:
    """Collect what a bug report needs.

    Args:
        offline: Whether to leave out the sources, which takes requests to their hosts.
    """
    return {
        "nlvid": __version__,
        "python": f"{platform.python_version()} ({sys.executable})",
        "system": platform.platform(),
        "packages": _package_versions(),
        "devices": _devices(),
        "onnx runtime": _providers(),
        "ffmpeg": _ffmpeg(),
        "cache": _cache(),
        "variables": _variables(),
        "sources": [] if offline else _sources(),
    }


def _package_versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def _devices() -> dict[str, str]:
    try:
        from nlvid_cli.backends.torch_backend import describe_devices
    except ImportError as error:
        return {"torch": f"does not load: {error}"}
    return describe_devices()


def _providers() -> dict[str, str]:
    """Return the devices that this build of ONNX Runtime can use, by their names for --device."""
    try:
        from nlvid_cli.backends.providers import onnx_devices
    except ImportError as error:
        return {"onnxruntime": f"does not load: {error}"}
    return {str(device): device.provider for device in onnx_devices("auto")}


def _ffmpeg() -> dict[str, str]:
    import av

    libraries = {name: ".".join(map(str, number)) for name, number in av.library_versions.items()}
    return {"version": av.ffmpeg_version_info, **libraries}


def _cache() -> dict[str, str]:
    from nlvid_cli.models.store.cache import cache_folder, usable_now

    folder = cache_folder()
    size_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return {
        "folder": str(folder),
        "size": f"{size_bytes / 1e6:.0f} MB",
        "ready models": ", ".join(usable_now()) or "none",
    }


def _variables() -> dict[str, str]:
    """Return the variables without user names and passwords, since reports are posted in public."""
    from nlvid_cli.models.naming import without_logins

    return {name: without_logins(os.environ[name]) for name in VARIABLES if name in os.environ}


def _sources() -> list[str]:
    from nlvid_cli.models.store.sources import reachable_hosts

    return [f"{host}: {'ok' if ok else 'no'}, {detail}" for host, ok, detail in reachable_hosts()]
