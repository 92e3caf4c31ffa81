"""Where an allowed command goes. What was not allowed cannot be made into a `Command`."""

from collections.abc import Callable

from earmark.forward.command import Command
from earmark.forward.device import Device
from earmark.forward.folder import INDEX, FolderForwarder
from earmark.forward.forwarder import Forwarder
from earmark.forward.program import StdinForwarder
from earmark.forward.settings import WYOMING, ForwardSettings
from earmark.signal import Signal

__all__ = [
    "INDEX",
    "Command",
    "Device",
    "FolderForwarder",
    "ForwardSettings",
    "Forwarder",
    "StdinForwarder",
    "open_forwarder",
]


def open_forwarder(
    settings: ForwardSettings,
    device: Device = Device(),  # noqa: B008 - frozen
    speak: Callable[[Signal], None] | None = None,
) -> Forwarder:
    """Return the forwarder that `settings` ask for.

    Parameters
    ----------
    device : how this device is called, for those that connect to it.
    speak : plays a piece of a spoken answer (at most 0.2 s, at ``RATE_HZ``), called from another
        thread at the pace of the sound; None where answers are not played.

    Raises
    ------
    ForwardError
        It cannot work as it is set: no such program, a folder that cannot be used, an address
        that is taken, a certificate that cannot be read.
    """
    if settings.kind in WYOMING:
        from earmark.forward.wyoming.open import open_wyoming  # noqa: PLC0415 - loads asyncio

        return open_wyoming(settings, device, speak)
    if settings.kind == "command":
        return StdinForwarder(settings.argv, settings.timeout_s)
    return FolderForwarder(settings.folder, settings.keep_count)
