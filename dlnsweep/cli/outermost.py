"""The outermost rule: whatever goes wrong, the command line ends with a sentence.

What is foreseen is a `DlnsweepError`, which `cli` tells. All else is a bug, a broken installation
or a machine without memory: its traceback is kept in a file that only this user can read, and the
exit status says so and nothing else. At module level here is nothing but Python itself: that a
package cannot be imported is among what is told.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

# As EX_SOFTWARE in sysexits.h; no command uses it for anything else.
BUG_STATUS = 70
INTERRUPTED_STATUS = 130
_MOST_SHOWN = 300
# How many objects more there are before the youngest are looked through, and so on; mypy's choice
# is similar.
RARELY = (100_000, 20, 20)
_PARTING = "All that was committed is kept, and the same command goes on from there."


def main() -> None:
    """Run the command line, and end this process with a status that means what the guide says."""
    # A command makes objects to keep them until it ends: looked through as often as Python does by
    # itself, imports and figures take a sixth longer.
    gc.set_threshold(*RARELY)
    status = guarded(_command_line)
    # What is imported need not be looked through once more before the process ends.
    gc.freeze()
    sys.exit(status)


def _command_line() -> None:
    from dlnsweep.cli.app import main

    main()


def guarded(command: Callable[[], object]) -> int:
    """Return the exit status of a command that ends the process itself, or returns.

    Args:
        command: What is to be run; any exception of it ends here.
    """
    try:
        command()
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            return ended.code or 0
        # Python's own way with a text is status 1, which is promised to mean something else.
        _say(str(ended.code))
        return BUG_STATUS
    except KeyboardInterrupt:
        _say("dlnsweep: stopped.")
        return INTERRUPTED_STATUS
    except BaseException as error:
        _say(f"dlnsweep: {_sentence(error)}")
        return BUG_STATUS
    return 0


def _sentence(error: BaseException) -> str:
    kept = keep_traceback(error)
    found = _one_line(error)
    if isinstance(error, MemoryError):
        return (
            f"out of memory ({found}); ask for less at once, or use a machine with more. "
            f"{_PARTING} {kept}"
        )
    if isinstance(error, ImportError):
        return (
            f"a package that it needs cannot be imported ({found}); install dlnsweep with its "
            f"packages again. {kept}"
        )
    return f"this is a bug of dlnsweep ({found}). {_PARTING} {kept}"


def _one_line(error: BaseException) -> str:
    with contextlib.suppress(Exception):
        text = f"{type(error).__name__}: {error}".partition("\n")[0].strip().rstrip(".:")
        return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."
    return type(error).__name__


def keep_traceback(error: BaseException) -> str:
    """Write an exception's traceback to a file of its own; return a sentence that names it."""
    text = "\n".join(
        [
            f"command: {' '.join(sys.argv)}",
            f"folder: {_here()}",
            f"Python {sys.version} on {sys.platform}",
            "".join(traceback.format_exception(error)),
        ]
    )
    for folder in _folders():
        with contextlib.suppress(OSError):
            # Made with mode 0600, under a name that nobody could have put there before.
            descriptor, path = tempfile.mkstemp(".txt", "dlnsweep-bug-", folder)
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
            return f"The traceback is kept in {path}; please report it with that file."
    return f"No file could be written for the traceback:\n{text}"


def _folders() -> list[str]:
    found = []
    with contextlib.suppress(OSError):
        found.append(tempfile.gettempdir())
    with contextlib.suppress(RuntimeError, OSError):
        found.append(str(Path.home()))
    return found


def _here() -> str:
    try:
        return str(Path.cwd())
    except OSError:
        return "(it is gone)"


def _say(text: str) -> None:
    # The stream may be closed, or full; what it cannot encode, it gets as escapes.
    encoding = getattr(sys.stderr, "encoding", None) or "ascii"
    with contextlib.suppress(OSError, ValueError, AttributeError, LookupError):
        shown = text.encode(encoding, "backslashreplace").decode(encoding)
        print(shown, file=sys.stderr, flush=True)
