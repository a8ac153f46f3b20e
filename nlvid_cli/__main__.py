"""``python -m nlvid_cli`` is ``nlvid``."""

from nlvid_cli.app import main

if __name__ == "__main__":
    main()
