"""nlvid names the human actions in a video."""

from nlvid_cli._version import __version__

__all__ = ["__version__"]
