"""What the daemon asks of whatever an allowed command is handed to."""

from __future__ import annotations

from typing import Protocol

from earmark.forward.command import Command


class Forwarder(Protocol):
    """Takes allowed commands. Kinds: a folder, a program's standard input."""

    def send(self, command: Command) -> None:
        """Hand over one command; it has arrived, whole, when this returns.

        It may take as long as the kind's time-out, so that it is no call for the audio loop.

        Raises
        ------
        ForwardError
            The command did not arrive, or not whole. Nothing of it is left half done here.
        """
        ...

    def close(self) -> None:
        """Let go of what is held. Closing twice is harmless."""
        ...
