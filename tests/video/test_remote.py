from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
import s3fs
from moto.server import ThreadedMotoServer

from nlvid_cli.card.card import Preprocess, Sampling
from nlvid_cli.errors import ForbiddenFormat, RemoteFailure, UnreadableVideo, UsageError, VideoNotFound
from nlvid_cli.video.clips import decode_clips
from nlvid_cli.video.probe import probe
from nlvid_cli.video.remote import BLOCK_BYTES, RemotePath, expand_remote, remote_state, video_path
from nlvid_cli.video.segment import Segment
from tests.clips import copy_packets, make_clip
from tests.server import FileHandler, serving

SAMPLING = Sampling(frames=8, step=2, clips=10, clip_starts="ends", short_video="loop")
RULES = Preprocess(72, 64, 1, "swscale_bilinear", (127.5,) * 3, (127.5,) * 3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def handler() -> type[FileHandler]:
    return type("Handler", (FileHandler,), {"sent": {}, "asked": {}})


@pytest.fixture(scope="module")
def address(folder: Path, handler: type[FileHandler]) -> Iterator[str]:
    with serving(folder, handler) as address:
        yield address


@pytest.fixture(scope="module")
def long_video(folder: Path) -> Path:
    """Ten minutes with a key frame every two seconds, and its index at the end."""
    short = make_clip(folder / "short.mp4", frames=100, size=(320, 240), gop=50, options={"crf": "28"})
    return copy_packets(short, folder / "long.mp4", repeat=150)


def _same(one: tuple[Any, Any], other: tuple[Any, Any]) -> None:
    np.testing.assert_array_equal(one[0], other[0])
    assert one[1] == other[1]


def test_under_thirty_per_cent_of_ten_minutes_is_read(
    long_video: Path, address: str, handler: type[FileHandler]
) -> None:
    expected = decode_clips(Segment(long_video), SAMPLING, RULES)
    assert expected[1].facts.duration_seconds == pytest.approx(600)
    handler.sent.clear()
    _same(decode_clips(Segment(RemotePath(f"{address}/long.mp4")), SAMPLING, RULES), expected)
    assert handler.sent["long.mp4"] < 0.3 * long_video.stat().st_size


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "webm", "ts", "avi"])
def test_remote_files_give_the_same_clips(folder: Path, address: str, suffix: str) -> None:
    codec = {"webm": "libvpx", "ts": "mpeg2video", "avi": "mpeg4"}.get(suffix, "libx264")
    path = make_clip(folder / f"a.{suffix}", codec=codec, audio=suffix == "mp4")
    remote = RemotePath(f"{address}/a.{suffix}")
    _same(decode_clips(Segment(remote), SAMPLING, RULES), decode_clips(Segment(path), SAMPLING, RULES))


@pytest.mark.parametrize("options", [{"movflags": "frag_keyframe+empty_moov"}, {"movflags": "faststart"}])
def test_indices_of_other_forms(folder: Path, address: str, options: dict[str, str]) -> None:
    path = make_clip(folder / f"{options['movflags']}.mp4", container_options=options, rotation=(90, False, False))
    here, there = probe(path), probe(RemotePath(f"{address}/{path.name}"))
    np.testing.assert_array_equal(there.pts, here.pts)
    np.testing.assert_array_equal(there.key_frames, here.key_frames)
    assert (there.facts.duration_seconds, there.orientation) == (here.facts.duration_seconds, here.orientation)
    assert there.header == here.header
    assert here.header is not None or "frag_keyframe" in path.name


def test_requests_to_a_flaky_server_are_retried(folder: Path, address: str) -> None:
    path = make_clip(folder / "shaky.mp4")
    remote = RemotePath(f"{address}/shaky.mp4")
    _same(decode_clips(Segment(remote), SAMPLING, RULES), decode_clips(Segment(path), SAMPLING, RULES))


def test_remote_files_that_cannot_be_read(folder: Path, address: str) -> None:
    (folder / "list.m3u8").write_text("#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n")
    (folder / "text.mp4").write_text("no video\n" * 100)
    (folder / "empty.mp4").touch()
    (folder / "closed.mp4").write_bytes(b"x")
    (folder / "whole.mp4").write_bytes(bytes(3 * BLOCK_BYTES))
    for name, kind, message in (
        ("none.mp4", VideoNotFound, "no file"),
        ("list.m3u8", ForbiddenFormat, "an HLS play list"),
        ("text.mp4", UnreadableVideo, "not a video"),
        ("empty.mp4", UnreadableVideo, "empty file"),
        ("closed.mp4", RemoteFailure, "403"),
        ("whole.mp4", RemoteFailure, "parts of a file"),
    ):
        with pytest.raises(kind, match=message):
            probe(RemotePath(f"{address}/{name}"))
    with pytest.raises(RemoteFailure, match="cannot be read"):
        probe(RemotePath("http://127.0.0.1:1/a.mp4"))
    with pytest.raises(RemoteFailure, match="chains"):
        probe(RemotePath(f"{address}/a.zip::file:///etc/passwd"))


def test_redirects_on_this_machine_are_followed(folder: Path, address: str) -> None:
    path = make_clip(folder / "a.mp4")
    port = address.rpartition(":")[2]
    for target in ("/a.mp4", f"http://localhost:{port}/a.mp4", f"/to/{quote('/a.mp4', safe='')}"):
        assert probe(RemotePath(f"{address}/to/{quote(target, safe='')}")).facts == probe(path).facts


@pytest.mark.parametrize(
    ("target", "noun"),
    [
        ("http://169.254.169.254/latest/meta-data/", "link-local"),
        ("//169.254.169.254/", "link-local"),
        ("http://[::ffff:169.254.169.254]/", "link-local"),
        ("http://[64:ff9b::a9fe:a9fe]/", "link-local"),
        ("http://2852039166/", "link-local"),
        ("file:///etc/passwd", "file:"),
    ],
)
def test_redirects_that_are_not_followed(address: str, target: str, noun: str) -> None:
    with pytest.raises(RemoteFailure, match=noun):
        probe(RemotePath(f"{address}/to/{quote(target, safe='')}"))


def test_a_circle_of_redirects_ends(address: str) -> None:
    with pytest.raises(RemoteFailure, match="Redirects"):
        probe(RemotePath(f"{address}/to/"))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_public_server_does_not_lead_inside(
    folder: Path, address: str, handler: type[FileHandler], monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    make_clip(folder / "canary.mp4")
    monkeypatch.setattr("nlvid_cli.video.remote.first_kind", lambda url: "public")
    target = f"http://{host}:{address.rpartition(':')[2]}/canary.mp4"
    with pytest.raises(RemoteFailure, match="loopback"):
        probe(RemotePath(f"{address}/to/{quote(target, safe='')}"))
    assert "canary.mp4" not in handler.asked


def test_a_name_that_changes_its_address_gains_nothing(
    folder: Path, address: str, handler: type[FileHandler], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_clip(folder / "canary.mp4")
    monkeypatch.setattr("nlvid_cli.video.remote.first_kind", lambda url: "public")  # as it was when it was asked first
    with pytest.raises(RemoteFailure, match="loopback"):
        probe(RemotePath(f"http://localhost:{address.rpartition(':')[2]}/canary.mp4"))
    assert "canary.mp4" not in handler.asked


def test_a_play_list_is_not_followed_whatever_its_name(folder: Path, address: str, handler: type[FileHandler]) -> None:
    (folder / "trap.mp4").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{address}/bait.ts\n")
    with pytest.raises(ForbiddenFormat):
        probe(RemotePath(f"{address}/trap.mp4"))
    assert "bait.ts" not in handler.asked


def test_the_version_that_the_server_reports(folder: Path, address: str) -> None:
    (folder / "some.mp4").write_bytes(b"12345")
    assert remote_state(RemotePath(f"{address}/some.mp4")) == {"size_bytes": 5, "etag": '"5"'}
    assert remote_state(RemotePath(f"{address}/none.mp4")) is None


@pytest.mark.parametrize("text", ["s3://b/a.mp4", "HTTPS://host/a", "hf://datasets/a/b.mp4"])
def test_an_address_is_a_remote_path(text: str) -> None:
    path = video_path(text)
    assert isinstance(path, RemotePath)
    assert str(path) == text
    assert video_path(path) is path


@pytest.mark.parametrize("text", ["a.mp4", "file:///a", "zip://a::b", "ssh://host/a", "memory://a", "./a//b.mp4", ""])
def test_everything_else_is_a_local_path_and_stays_as_written(text: str) -> None:
    assert video_path(text) == text


def test_a_path_object_is_local() -> None:
    assert video_path(Path("s3://b/a.mp4")) == "s3:/b/a.mp4"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An S3 server on this machine, with a bucket."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    system = s3fs.S3FileSystem()
    system.mkdir("videos")
    yield system
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


def test_s3(bucket: Any, long_video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nlvid_cli.video.remote import RemoteFile

    bucket.put_file(str(long_video), "videos/deep/long.mp4")
    bucket.pipe_file("videos/notes.txt", b"no video")
    bucket.pipe_file("videos/deep/sound.ogg", b"no video")
    remote = RemotePath("s3://videos/deep/long.mp4")
    passed_over: list[str] = []

    def expand(address: str) -> list[RemotePath]:
        passed_over.clear()
        return list(expand_remote(RemotePath(address), passed_over.append))

    assert expand("s3://videos/") == [remote]
    assert passed_over == ["videos/deep/sound.ogg", "videos/notes.txt"]
    assert expand("s3://videos/**/l*.mp4") == [remote]
    assert expand("s3://videos/*") == []
    assert passed_over == ["videos/notes.txt"]
    assert expand("s3://videos/any.mp4") == [RemotePath("s3://videos/any.mp4")]
    assert expand("s3://videos/deep/sound.ogg") == [RemotePath("s3://videos/deep/sound.ogg")]
    with pytest.raises(UsageError, match="no video"):
        expand("s3://videos/none/")
    state = remote_state(remote)
    assert state is not None
    assert state["size_bytes"] == long_video.stat().st_size
    assert len(state["etag"]) > 30
    fetched = 0
    fetch = RemoteFile._fetch

    def count(self: RemoteFile, start: int, end: int) -> bytes:
        nonlocal fetched
        data = fetch(self, start, end)
        fetched += len(data)
        return data

    monkeypatch.setattr(RemoteFile, "_fetch", count)
    here = decode_clips(Segment(long_video), SAMPLING, RULES)
    _same(decode_clips(Segment(remote), SAMPLING, RULES), here)
    assert 0 < fetched < 0.3 * long_video.stat().st_size
    with pytest.raises(VideoNotFound):
        probe(RemotePath("s3://videos/none.mp4"))
    with pytest.raises((RemoteFailure, VideoNotFound)):
        probe(RemotePath("s3://nobody/none.mp4"))
