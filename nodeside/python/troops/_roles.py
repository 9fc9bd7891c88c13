"""The set of active roles."""

from typing import AbstractSet, Iterable, Set, TypeVar

from ._names import check_role, check_roles

_R = TypeVar("_R", bound="Roles")


class Roles(Set[str]):
    """A set of role names. Whatever adds to it in place checks the names first."""

    def add(self, role: str) -> None:
        """Make a role active."""
        super().add(check_role(role))

    def update(self, *others: Iterable[str]) -> None:
        """Make several roles active: all of them, or none where a name is wrong."""
        super().update(*[check_roles(other, "roles") for other in others])

    def symmetric_difference_update(self, other: Iterable[str]) -> None:
        """As set's, with checked names."""
        super().symmetric_difference_update(check_roles(other, "roles"))

    def __ior__(self: _R, other: AbstractSet[str]) -> _R:  # type: ignore[override,misc]
        self.update(other)
        return self

    def __ixor__(self: _R, other: AbstractSet[str]) -> _R:  # type: ignore[override,misc]
        self.symmetric_difference_update(other)
        return self
