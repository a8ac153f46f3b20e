"""The commands of ``nlvid models``, a file each."""
