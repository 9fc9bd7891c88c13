"""The grammar of role and host names, the same as the workstation's."""

import re
from typing import FrozenSet, Iterable, Tuple

_ROLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_USER = re.compile(r"[A-Za-z0-9._+][A-Za-z0-9._+@-]*")
_NAME = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?")


def check_role(role: object) -> str:
    """Return role if it is a role's name; raise TypeError or ValueError otherwise."""
    if not isinstance(role, str):
        raise TypeError("a role's name is a string, not %r" % (role,))
    if not _ROLE.fullmatch(role):
        raise ValueError(
            "%r is no name for a role: a letter or digit first, then at most 63"
            " letters, digits, '.', '_' or '-'" % (role,)
        )
    return role


def check_roles(roles: object, what: str) -> Tuple[str, ...]:
    """Return the names in roles, a list or another iterable that is not a string."""
    if isinstance(roles, (str, bytes)):
        raise TypeError("%s is a list of names: write [%r]" % (what, roles))
    if not isinstance(roles, Iterable):
        raise TypeError("%s is a list of names, not %r" % (what, roles))
    return tuple(check_role(role) for role in roles)


def host_name(host: object) -> str:
    """Return the name part of a host written ``[user@]name[:port]``, without brackets."""
    if not isinstance(host, str):
        raise TypeError("a host is a string, not %r" % (host,))
    user, at, rest = host.rpartition("@")
    match = _NAME.fullmatch(rest)
    if match is None or (at and not _USER.fullmatch(user)):
        raise ValueError(
            "%r is no host: write [user@]name[:port], an IPv6 address in brackets" % (host,)
        )
    if match.group(2) is not None and not 1 <= int(match.group(2)) <= 65535:
        raise ValueError("%r is no host: ports are 1 to 65535" % (host,))
    return match.group(1).strip("[]")


def check_hosts(hosts: object) -> FrozenSet[str]:
    """Return the hosts of a list, as written, after checking each of them."""
    if isinstance(hosts, (str, bytes)):
        raise TypeError("hosts is a list of host names: write hosts=[%r]" % (hosts,))
    if not isinstance(hosts, Iterable):
        raise TypeError("hosts is a list of host names, not %r" % (hosts,))
    written = tuple(hosts)
    for host in written:
        host_name(host)
    return frozenset(written)
