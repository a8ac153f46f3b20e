"""Regular expressions of a user, with a limit on their time.

Python's engine may take exponential time (``(a+)+$``), and nothing ends it within a process. So another Python process,
which runs this file, does the search.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence

SECONDS = 20.0
"""Time limit. A million names take a second or two with an ordinary expression."""


class PatternError(ValueError):
    """A regular expression is wrong, or takes too long."""


def first_matches(pattern: str, texts: Sequence[str], seconds: float = SECONDS) -> list[str | None]:
    """Search each text for a regular expression.

    Args:
        pattern: The expression, in Python's syntax.
        texts: Texts to search.
        seconds: Time limit for all of them.

    Returns:
        For each text the first parenthesised group of the first match, or else the whole match; None without a match.

    Raises:
        PatternError: The expression is wrong, or takes too long.
    """
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise PatternError(f"it is not a regular expression ({error})") from None
    try:
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-I", "-S", __file__],
            input=json.dumps([pattern, list(texts)]),
            stdout=subprocess.PIPE,
            encoding="ascii",
            timeout=seconds,
            check=True,
        )
    except subprocess.TimeoutExpired:
        raise PatternError(
            f"it takes more than {seconds:g} s for {len(texts)} names; do not nest repetitions, as in (a+)+"
        ) from None
    except subprocess.CalledProcessError as error:
        raise PatternError(f"the search ended early (status {error.returncode})") from None
    found: list[str | None] = json.loads(done.stdout)  # noqa: TID251 - made by _main
    return found


def _main() -> None:
    pattern, texts = json.load(sys.stdin)  # noqa: TID251 - made by first_matches
    compiled = re.compile(pattern)
    group = min(compiled.groups, 1)
    matches = map(compiled.search, texts)
    json.dump([None if match is None else match[group] for match in matches], sys.stdout)


if __name__ == "__main__":
    _main()
