"""The key of the voiceprints where systemd keeps it: sealed, and handed to the service alone.

How well people are told from strangers is counted with their voiceprints. A key file root can
read. A sealed one only systemd opens, for a unit that names it: so it is asked for with the lines
of Earmark's own unit, as ``earmark-admin`` does, and lies for a moment in a folder of root's in
memory. Where that fails the key is missing, as it would be for the service.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from earmark.speaker import SpeakerSettings
from earmark.speaker.vault_key import CREDENTIALS

UNIT = "earmark.service"
LINE = re.compile(r"LoadCredential(?:Encrypted)?=([^:\s]+)(?::\S+)?")
"""What its files say of a credential: its name, and where it is kept."""

RUNS = Path("/run/systemd/system")
"""Is there where systemd runs."""

MEMORY = Path("/run")
"""Where files are in memory."""

MAX_BYTES = 64 * 1024
"""Most that is taken of what a command prints, bytes: a unit and its drop-ins, or a key."""

LIMIT_S = 30.0
"""Longest wait for systemd, s: a TPM opens a key in a second or two."""


@contextmanager
def credentials(
    settings: SpeakerSettings, environ: Mapping[str, str] = os.environ
) -> Iterator[Mapping[str, str]]:
    """The environment in which the key of the vault is found, as the service would find it."""
    key = _opened(settings.key_credential) if _sealed(settings, environ) else b""
    if not key:
        yield environ
        return
    # Mode 0700, and gone afterwards.
    with tempfile.TemporaryDirectory(prefix="earmark-calibrate-", dir=MEMORY) as folder:
        file = Path(folder, settings.key_credential)
        file.touch(mode=0o600)
        file.write_bytes(key)
        yield {**environ, CREDENTIALS: folder}


def _sealed(settings: SpeakerSettings, environ: Mapping[str, str]) -> bool:
    """Whether there is something to open, and systemd to ask."""
    there = settings.vault is not None and os.path.lexists(settings.vault)
    return there and CREDENTIALS not in environ and os.geteuid() == 0 and RUNS.is_dir()


def _opened(name: str) -> bytes:
    """What systemd gives the service under that name; empty when it gives nothing."""
    # `systemctl show` cannot print these lines in systemd 252.
    text = _said("systemctl", "cat", UNIT).decode("utf-8", "replace")
    found = map(LINE.fullmatch, map(str.strip, text.splitlines()))
    lines = [f"--property={one[0]}" for one in found if one and one[1] == name]
    if not lines:
        return b""
    run = ("systemd-run", "--pipe", "--wait", "--collect", "--quiet", *lines)
    return _said(*run, "/bin/sh", "-c", 'exec cat "$CREDENTIALS_DIRECTORY/$0"', name)


def _said(*command: str) -> bytes:
    """What a command prints; nothing when it fails."""
    try:
        ended = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=LIMIT_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return b""
    return ended.stdout[:MAX_BYTES] if ended.returncode == 0 else b""
