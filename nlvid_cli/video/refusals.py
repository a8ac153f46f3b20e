"""Why a file cannot be opened, as far as its first bytes or its boxes tell."""

from __future__ import annotations

from nlvid_cli.errors import EncryptedVideo, ForbiddenFormat, FrameTooLarge, UnreadableVideo, VideoError
from nlvid_cli.video.boxes import Seekable, boxes, is_encrypted_track, is_mp4, size_of

MAX_FRAME_PIXELS = 8192 * 8192
"""Largest frame to decode. 8K television (7680 x 4320) has half of these pixels, square 8K headset video all of them. A
frame of this size takes 200 MB as RGB, and decoders hold several; anything larger is more likely an attack."""

MAX_ASPECT = 32
"""Largest ratio of the sides of a frame. The widest cameras and video walls have about 1:10; a frame of 2 x 20000 would
take 490 MB at the short side of a network."""

HEAD_BYTES = 512

DESCRIPTIONS = {
    b"#EXTM3U": "an HLS play list",
    b"ffconcat version": "a concat script",
    b"v=0": "an SDP stream description",
    b"<MPD": "a DASH manifest",
    b"<?xml": "an XML document",
    b"<AssetMap": "an IMF asset map",
    b"<smil": "a SMIL play list",
    b"[playlist]": "a play list",
    b"[Reference]": "an ASX reference file",
    b"RTSPtext": "an RTSP reference file",
}
"""First bytes of text files that point to media elsewhere, to tell the user why such a file is refused."""

PICTURE_FORMATS = (
    *("AVIF", "BMP", "DDS", "GIF", "ICO", "JPEG", "JPEG2000", "PCX", "PNG", "PPM", "QOI", "SGI", "TGA", "TIFF", "WEBP"),
)
"""Formats of still pictures whose header is read; no others, because not all readers of Pillow are as simple."""


def refusal(file: Seekable, reason: str) -> VideoError:
    """Explain why FFmpeg cannot open a file.

    Args:
        file: The file; it is moved.
        reason: What FFmpeg says.
    """
    file.seek(0)
    head = file.read(HEAD_BYTES).removeprefix(b"\xef\xbb\xbf").lstrip()
    for signature, what in DESCRIPTIONS.items():
        if head[: len(signature)].lower() == signature.lower():
            return ForbiddenFormat(f"{what}, not a video (it points to other files; name those instead)")
    return (mp4_refusal(file) if is_mp4(file) else None) or UnreadableVideo(
        f"not a video, or damaged beyond reading (FFmpeg says: {reason})"
    )


def mp4_refusal(file: Seekable) -> VideoError | None:
    """Explain by its boxes why an MP4 file cannot be read; None if they do not tell."""
    size_bytes = size_of(file)
    found = {box.kind: box for box in boxes(file, 0, size_bytes)}
    if b"moov" in found and found[b"moov"].end > size_bytes:
        return UnreadableVideo("the index of the MP4 file is cut off: the file was not copied or downloaded whole")
    if b"moov" in found:
        return encrypted() if is_encrypted_track(file, 0) else None
    if b"moof" in found:
        return UnreadableVideo(
            "a segment of a stream, whose index is in another file; join them first "
            "(cat init.mp4 segment.m4s > joined.mp4)"
        )
    if b"meta" in found:  # a still picture (HEIF), not a movie
        return None
    return UnreadableVideo(
        "the index of the MP4 file is missing: it is still being recorded, or was not closed, copied or downloaded "
        "whole"
    )


def encrypted() -> EncryptedVideo:
    """Return the error for a video that only a licence can decrypt."""
    return EncryptedVideo("encrypted (DRM): its pictures cannot be decoded without a key; use an unprotected copy")


def check_frame_size(width: int, height: int) -> None:
    """Raise :class:`FrameTooLarge` if a frame of this size is beyond :data:`MAX_FRAME_PIXELS`."""
    if width * height > MAX_FRAME_PIXELS:
        raise FrameTooLarge(
            f"frames of {width} x {height} pixels are larger than nlvid decodes "
            f"(the limit is {MAX_FRAME_PIXELS / 1e6:.0f} million pixels; scale the video down first)"
        )


def check_frame_shape(width: int, height: int) -> None:
    """Raise :class:`FrameTooLarge` if frames would be very long at the short side of the network."""
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise FrameTooLarge(
            f"frames of {width} x {height} pixels are too narrow: one side may be at most {MAX_ASPECT} times the other "
            "(crop the video to what matters first)"
        )


def check_still_picture(file: Seekable) -> None:
    """Raise :class:`FrameTooLarge` for a picture that FFmpeg does not decode because of its size.

    FFmpeg drops a size beyond its limits, so that the user would not learn the reason.
    """
    import warnings

    from PIL import Image  # takes 0.1 s, and is only needed here

    file.seek(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of size, and of whatever is odd in a damaged header
            with Image.open(file, formats=PICTURE_FORMATS) as picture:  # type: ignore[arg-type]
                size = picture.size
    except Image.DecompressionBombError:  # Pillow's limit is larger than ours
        raise FrameTooLarge(
            f"its picture is larger than nlvid decodes (the limit is {MAX_FRAME_PIXELS / 1e6:.0f} million pixels)"
        ) from None
    except Exception:  # not a picture, or damaged: Pillow's readers raise all kinds of errors
        return
    check_frame_size(*size)
