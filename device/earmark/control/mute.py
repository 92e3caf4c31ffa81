"""Whether the microphone is muted, kept over restarts: a file is there, or it is not."""

from __future__ import annotations

import logging
from pathlib import Path

from earmark.control.protocol import ControlError
from earmark.files import flush_folder, replace_file

_log = logging.getLogger(__name__)


class MuteFile:
    """The file of the setting ``control.mute_file``.

    Parameters
    ----------
    path : the file; None keeps nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path

    @property
    def muted(self) -> bool:
        """Whether it says so. What cannot be looked at says so too: muted is the safe side."""
        if self._path is None:
            return False
        try:
            self._path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            _log.warning("%s cannot be looked at (%s): muted", self._path, error.strerror)
        return True

    def keep(self, muted: bool) -> None:
        """Write it down; on the disk when this returns.

        Raises
        ------
        ControlError
            The disk refuses. What was written before stays.
        """
        if self._path is None:
            return
        try:
            if muted:
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                replace_file(self._path, b"", lambda _: None)
            else:
                self._path.unlink(missing_ok=True)
            if self._path.parent.is_dir():
                flush_folder(self._path.parent)
        except OSError as error:
            how = "muted" if muted else "not muted"
            raise ControlError(
                f"{self._path}: that the microphone is {how} cannot be kept "
                f"({error.strerror or error})",
                "it holds until the next restart; free some space, or set control.mute_file",
            ) from None
