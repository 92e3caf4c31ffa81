"""The local control socket: how a running daemon is asked, muted and watched by its owner."""

from earmark.control.client import NoAccess, NoDaemon, ask, listen
from earmark.control.mute import MuteFile
from earmark.control.protocol import MAX_REPLY_BYTES, MAX_REQUEST_BYTES, ControlError, Request
from earmark.control.server import (
    MAX_BACKLOG_BYTES,
    MAX_CLIENTS,
    MAX_EVENTS,
    MAX_LISTENERS,
    ControlServer,
)
from earmark.control.settings import ControlSettings

__all__ = [
    "MAX_BACKLOG_BYTES",
    "MAX_CLIENTS",
    "MAX_EVENTS",
    "MAX_LISTENERS",
    "MAX_REPLY_BYTES",
    "MAX_REQUEST_BYTES",
    "ControlError",
    "ControlServer",
    "ControlSettings",
    "MuteFile",
    "NoAccess",
    "NoDaemon",
    "Request",
    "ask",
    "listen",
]
