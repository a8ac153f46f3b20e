"""Which files are videos, judging by their names alone."""

from __future__ import annotations

VIDEO_SUFFIXES = tuple(
    f".{name}"
    for name in (
        *("264", "265", "266", "3g2", "3gp", "3gp2", "3gpp", "amv", "apng", "asf", "avc", "avi", "bik", "cine", "dav"),
        *("divx", "dv", "dvr-ms", "evo", "f4v", "flc", "fli", "flv", "gif", "gxf", "h261", "h263", "h264", "h265"),
        *("h266", "hevc", "insv", "ismv", "ivf", "lrv", "lxf", "m1v", "m2p", "m2t", "m2ts", "m2v", "m4v", "mj2"),
        *("mjpeg", "mjpg", "mk3d", "mkv", "mov", "mp2v", "mp4", "mp4v", "mpe", "mpeg", "mpg", "mpv", "mpv2", "mts"),
        *("mxf", "nsv", "nut", "nuv", "obu", "ogm", "ogv", "pva", "qt", "rcv", "rm", "rmvb", "smk", "tod", "trp"),
        *("ts", "ty", "vc1", "viv", "vivo", "vob", "vro", "vvc", "webm", "wm", "wmv", "wtv", "xvid", "y4m"),
    )
)
"""Suffixes of videos. A file that the user names may have any name."""

PICTURE_SUFFIXES = tuple(
    f".{name}"
    for name in (
        *("bmp", "dpx", "j2c", "j2k", "jfif", "jls", "jp2", "jpe", "jpeg", "jpg", "pam", "pbm", "pcx", "pgm", "png"),
        *("pnm", "ppm", "qoi", "sgi", "tif", "tiff", "webp"),
    )
)
"""Suffixes of the pictures that folders of frames hold; :data:`nlvid_cli.video.container.STILL_FORMATS` reads them."""

SHARED_SUFFIXES = frozenset({
    ".ts", ".mts",  # TypeScript
    ".dat",  # Video CDs and recorders; any data
    ".mod",  # camcorders; music, Go modules
    ".ogg",  # mostly audio
    ".avif",  # mostly still pictures
    ".lrf",  # drones; electronic books
    ".drc", ".rec", ".tp", ".vdr",
})  # fmt: skip
"""Suffixes that videos share with other files: in a folder, the content decides."""


def is_picture_name(name: str) -> bool:
    """Whether a file of this name counts as a picture, which may be a frame of a video."""
    return name.lower().endswith(PICTURE_SUFFIXES)


def is_video_name(name: str) -> bool:
    """Whether a file of this name counts as a video where only names are known."""
    return name.lower().endswith(VIDEO_SUFFIXES)
