"""roles.toml: roles for repositories that list their hosts outside of Python."""

import os
import sys
from typing import Any, Callable, Dict, FrozenSet, Optional

from ._names import check_hosts, check_role

NAME = "roles.toml"


def directory() -> str:
    """Return the directory of the script that runs, or the working directory."""
    script: Optional[str] = getattr(sys.modules.get("__main__"), "__file__", None)
    return os.path.dirname(os.path.abspath(script)) if script else os.getcwd()


def read(path: str) -> Dict[str, FrozenSet[str]]:
    """Return the hosts of each role in the file: none if there is no file.

    Raises ValueError where the file is not of the form ``[role]``, ``hosts = [...]``.
    """
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except FileNotFoundError:
        return {}
    try:
        return {check_role(role): _hosts(role, table) for role, table in _parser()(text).items()}
    except (TypeError, ValueError) as error:
        raise ValueError("%s: %s" % (path, error)) from error


def _hosts(role: str, table: object) -> FrozenSet[str]:
    if not isinstance(table, dict):
        raise ValueError("%s is no table: write [%s] and hosts = [...] below it" % (role, role))
    for key in table:
        if key != "hosts":
            raise ValueError("[%s] has %r, only hosts is known" % (role, key))
    return check_hosts(table.get("hosts", []))


def _parser() -> Callable[[str], Dict[str, Any]]:
    """Return a TOML parser: Python's own (3.11), tomli, or the tomli inside pip."""
    for name in ("tomllib", "tomli", "pip._vendor.tomli"):
        try:
            module = __import__(name, fromlist=["loads"])
        except ImportError:
            continue
        loads: Callable[[str], Dict[str, Any]] = module.loads
        return loads
    raise RuntimeError(
        "reading %s takes Python 3.11 or later, or the package tomli: add a line"
        " 'tomli' to requirements.txt" % NAME
    )
