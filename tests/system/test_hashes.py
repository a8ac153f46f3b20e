"""Hashes of files."""

from __future__ import annotations

from pathlib import Path

from nlvid_cli.system.hashes import digest_of, sha256_of


def test_hashes_are_those_of_fips_180(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_of(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert digest_of(tmp_path / "abc", "sha1") == "a9993e364706816aba3e25717850c26c9cd0d89d"
