"""The errors that a person gets to see: what happened, and what to do about it."""

from __future__ import annotations


class EarmarkError(Exception):
    """A failure with a remedy, printed by the command line as one line.

    Parameters
    ----------
    what : what happened, naming the file, key or device concerned.
    do : what the reader should do now, as an instruction.
    """

    def __init__(self, what: str, do: str) -> None:
        super().__init__(f"{what}: {do}")
        self.what = what
        self.do = do

    def __reduce__(self) -> tuple[type[EarmarkError], tuple[str, str]]:
        """Pickle by both arguments: errors of worker processes arrive as they were raised."""
        return type(self), (self.what, self.do)


def one_line(error: BaseException) -> str:
    """What an error says, on one line; of one that says nothing, its type."""
    return " ".join(str(error).split()) or type(error).__name__


class ConfigError(EarmarkError):
    """A setting is unknown, malformed or out of its range."""


class AudioError(EarmarkError):
    """Audio cannot be opened or read: a missing device, a file of the wrong rate."""


class StreamBroken(AudioError):
    """The audio stream stopped while it ran. The session in progress is lost, closed."""


class LedgerError(EarmarkError):
    """The ledger of issued nonces cannot be read or written. No session may start."""


class KeyringError(EarmarkError):
    """The keys of the spread nonce cannot be read or written. No session may start."""


class ForwardError(EarmarkError):
    """An allowed command could not be handed over."""
