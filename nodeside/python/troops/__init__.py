"""Which roles this machine has, and what to deploy on it because of them.

A deploy.py says which hosts have a role and marks the functions that deploy it::

    import troops

    troops.define_role('interactive', hosts=['shellbox-1.example.com'])

    @troops.deployable(roles=['interactive'])
    def tmux():
        ...

It is an ordinary script: ``python3 deploy.py`` does the same without any node.
A file roles.toml next to it (``[interactive]``, ``hosts = [...]``) is read at import.
"""

import atexit
import os
from typing import Any, Callable, Dict, Iterable, Optional, Set, TypeVar, Union, overload

from . import _hostname, _report, _rolesfile
from ._names import check_hosts, check_role, check_roles, host_name
from ._roles import Roles
from ._version import __version__

__all__ = [
    "__version__",
    "activate_role",
    "all_roles",
    "check",
    "define_role",
    "deployable",
    "have_role",
    "hostname",
    "roles",
]

_F = TypeVar("_F", bound=Callable[[], object])

roles: Set[str] = Roles()
"""The roles active on this machine. ``roles.add('web')`` is ``activate_role('web')``."""

all_roles: Dict[str, Set[str]] = {}
"""Every role that was defined, with its hosts as they were written."""


def hostname() -> str:
    """Return this machine's name, as the one who deploys knows it.

    On a node that is the name the workstation reached it by (TROOPS_HOSTNAME),
    elsewhere socket.gethostname(), with its domain where that can be found out.
    Never raises, and never waits long for a name server.
    """
    return os.environ.get("TROOPS_HOSTNAME") or _hostname.fully_qualified()


def have_role(role: str) -> bool:
    """Report whether a role is active on this machine, so far."""
    return check_role(role) in roles


def activate_role(role: str) -> None:
    """Make a role active on this machine. What was decided before stays as it is."""
    roles.add(check_role(role))


def define_role(role: str, hosts: Iterable[str] = ()) -> None:
    """Say which hosts have a role, and make it active if this is one of them.

    Hosts are written ``[user@]name[:port]``; the name is compared with hostname().
    Defining a role again adds to its hosts.
    """
    check_role(role)
    checked = check_hosts(hosts)
    all_roles.setdefault(role, set()).update(checked)
    # No look at the machine's name for a role without hosts: it may take a while.
    if checked and hostname().strip("[]") in {host_name(host) for host in checked}:
        roles.add(role)


def deployable(roles: Optional[Iterable[str]] = None) -> Callable[[_F], _F]:
    """Decorate a function so that it is called at once, if this machine is meant.

    Without roles it is called everywhere, otherwise where at least one of them is
    active by then. The function is called without arguments, and stays usable.
    """
    if callable(roles):
        raise TypeError("write @troops.deployable() with parentheses")
    applies = _applies(roles) and not _checking()

    def decorate(function: _F) -> _F:
        _check_function("deployable", function)
        if applies:
            function()
        return function

    return decorate


@overload
def check(roles: _F) -> _F: ...
@overload
def check(roles: Optional[Iterable[str]] = None) -> Callable[[_F], _F]: ...
def check(roles: Union[None, Iterable[str], Callable[[], object]] = None) -> Any:
    """Decorate a function that finds out whether this machine is well, for rollouts.

    ``@troops.check``, or ``@troops.check(roles=['web'])`` for machines with a role.
    A deployment does not call it. After a wave has soaked, and when a node is asked to
    check itself, deploy.py runs again with functions that are deployable left alone and
    those that check called at once, where the machine is meant. One that raises, or
    returns False, fails the check; what stands outside of functions runs as ever.
    """
    if callable(roles):
        return check()(roles)
    applies = _applies(roles) and _checking()

    def decorate(function: _F) -> _F:
        _check_function("check", function)
        if applies and function() is False:
            raise AssertionError("check %s returned False" % getattr(function, "__name__", function))
        return function

    return decorate


def _applies(roles: Optional[Iterable[str]]) -> bool:
    """Report whether functions for these roles, None for all, are meant here."""
    return roles is None or any([have_role(r) for r in check_roles(roles, "roles")])


def _checking() -> bool:
    """Report whether this run of deploy.py is for its checks."""
    return os.environ.get("TROOPS_CHECK") == "1"


def _check_function(decorator: str, function: object) -> None:
    """Refuse what would do nothing when it is called."""
    if not callable(function):
        raise TypeError("@troops.%s() decorates functions, not %r" % (decorator, function))
    code = getattr(function, "__code__", None)
    # CO_GENERATOR, CO_COROUTINE, CO_ASYNC_GENERATOR: inspect has them but takes
    # long to import.
    if code is not None and code.co_flags & (0x20 | 0x80 | 0x200):
        raise TypeError(
            "%s: @troops.%s() calls plain functions; this one is async or a generator,"
            " and calling it would do nothing" % (function.__name__, decorator)  # type: ignore[attr-defined]
        )


def _start() -> None:
    """Read roles.toml, and see to the report; once, at first import."""
    path = os.path.join(_rolesfile.directory(), _rolesfile.NAME)
    for role, hosts in _rolesfile.read(path).items():
        define_role(role, hosts)
    atexit.register(_report.reporter(lambda: roles))


_start()
