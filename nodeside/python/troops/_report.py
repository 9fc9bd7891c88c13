"""Telling the node which roles were active when deploy.py ended."""

import json
import os
import sys
from typing import Callable, Iterable

FILE = "TROOPS_REPORT"  # the file to write
PARENT = "TROOPS_REPORT_PARENT"  # process id of the node's run, which started deploy.py


def reporter(roles: Callable[[], Iterable[str]]) -> Callable[[], None]:
    """Return what is to be called when the interpreter ends.

    Only deploy.py itself reports. Its children see the same environment, so it is
    told apart by its parent, the node's run; and a fork of it by its process id.
    """
    path = os.environ.get(FILE, "")
    parent = os.environ.get(PARENT, "")
    pid = os.getpid()
    if not path or (parent and parent != str(os.getppid())):
        return lambda: None

    path = os.path.abspath(path)

    def report() -> None:
        if os.getpid() == pid:
            write(path, roles())

    return report


def write(path: str, roles: Iterable[str]) -> None:
    """Write the names to the file as a sorted JSON list, all or nothing."""
    temporary = "%s.%d" % (path, os.getpid())
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump(sorted(roles), file)
            file.write("\n")
            file.flush()
        os.replace(temporary, path)
    except (OSError, TypeError) as error:
        print("troops: the active roles cannot be reported: %s" % error, file=sys.stderr)
