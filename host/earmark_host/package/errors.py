"""What can go wrong when a package is made."""

from __future__ import annotations

from earmark.errors import EarmarkError


class PackageError(EarmarkError):
    """A package cannot be made: something is missing, altered, or does not fit the target."""
