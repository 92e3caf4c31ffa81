"""Where an allowed command goes. What was not allowed cannot be made into a `Command`."""

from earmark.forward.command import Command
from earmark.forward.folder import INDEX, FolderForwarder
from earmark.forward.forwarder import Forwarder
from earmark.forward.program import StdinForwarder
from earmark.forward.settings import ForwardSettings

__all__ = [
    "INDEX",
    "Command",
    "FolderForwarder",
    "ForwardSettings",
    "Forwarder",
    "StdinForwarder",
    "open_forwarder",
]


def open_forwarder(settings: ForwardSettings) -> Forwarder:
    """Return the forwarder that `settings` ask for.

    Raises
    ------
    ForwardError
        It cannot work as it is set: no such program, a folder that cannot be used.
    """
    if settings.kind == "command":
        return StdinForwarder(settings.argv, settings.timeout_s)
    return FolderForwarder(settings.folder, settings.keep_count)
