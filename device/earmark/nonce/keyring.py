"""The key ring: the household secret on disk, and the epochs that recordings are searched for.

All devices of a household share one secret, so that a recording made at one is recognised at
another. A replaced secret stays in the file until its epochs are forgotten.

Which epochs are remembered
    An epoch is a function of the wall clock, and so the same at every device. But a Raspberry Pi
    may start in 1970, and whoever answers for the network time can set its clock anywhere.
    Hence:

    - Epochs in which nonces were issued here are noted, and remembered for
      ``epochs_kept - 1`` epochs after their last use. That time is counted on the ring's own
      clock: elapsed time while Earmark runs, plus at each start what the wall clock has gone on
      since the last change, a week (:data:`MAX_ABSENCE_S`) at most. While it runs, setting the
      clock ages nothing.
    - Nonces are never issued in more epochs than can be searched for. When a new one would make
      it more than ``max_banks``, or when the clock is plainly unset, they go on in the epoch
      used last. So a clock that is set a hundred times drives out nothing.
    - Of a shared secret the ``epochs_kept - 1`` epochs before the current one are remembered,
      too, used here or not: a sister device may have used them. Those used here come first.
    - A secret that is replaced leaves the epochs in which it was in use, here or, if it was
      shared, at a sister. One that was neither used nor shared goes at once.

    The price: after a clock was forged, the next epoch may begin late. And a sister's nonces are
    missed if its clock was forged, or if it joined with another secret, which is not exported.

Power cuts
    The file is replaced as a whole (written beside it, flushed, renamed, the folder flushed), by
    one process at a time (a lock on the folder). Every change starts from the file, so that the
    daemon and an import on the command line lose nothing of each other.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from earmark.clock import SET_CLOCK_S
from earmark.errors import KeyringError
from earmark.files import flush_folder, lock, replace_file
from earmark.nonce.keys import (
    DAY_S,
    MAX_EPOCH,
    MAX_UNIX_S,
    SECRET_BYTES,
    EpochKey,
    epoch_key,
    epoch_of,
    secret_id_of,
)
from earmark.nonce.keys_settings import KeysSettings

VERSION = 1
"""Version of the file."""

EXPORT_VERSION = 1
"""Version of the export."""

MAX_FILE_BYTES = 65_536
"""Largest file that is read, bytes: a full one has under 16 kB."""

MAX_EXPORT_BYTES = 1_024
"""Longest export, bytes: today's has 150."""

MAX_USED = 64
"""Most used epochs in the file: above the 48 that can be searched for, plus an import's own."""

MAX_ABSENCE_S = 7 * DAY_S
"""Most that the ring's clock makes up for a time when Earmark did not run, s. A device that is
switched on once a week keeps pace; an attacker needs 26 power cuts, each with a forged time, to
make it forget one epoch of 180 days."""

LEAST_KEPT_DAYS = 30
"""An epoch that is not the current one is remembered for so many days after its last use even
when ``epochs_kept`` is 1, else the minute after its end, or a forged clock, would end it."""

LOCK_WAIT_S = 0.5
"""Longest wait for another process, s: half of the time in which a session must have its
nonce. One change takes milliseconds."""

LEAST_DISTINCT = 16
"""Least different bytes in a secret: one of 00.. or FF.. comes from an empty memory. Of random
ones, fewer than 1 in 10**16 have less."""

_REPLACE = (
    "restore the file, or move it away and import the household's secret again; recordings made "
    "before are then no longer recognised"
)

_FULL = ("the disk is full", "free some space; no session starts until then")
_DENIED = ("access is denied", "make it and its folder readable and writable for this user")
_FAILURES: dict[int, tuple[str, str]] = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: _FULL,
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
    errno.ELOOP: ("the key ring is a link", "set keys.path to the file itself"),
    errno.EISDIR: ("the key ring is a folder", "set keys.path to a file"),
    errno.ENOENT: ("the key ring is gone", _REPLACE),
    errno.EROFS: ("the disk is read-only", "set keys.path to a folder that can be written"),
}
"""What an error of the system means to a person, and the remedy."""


class _Secret(BaseModel):
    """A household secret in the file."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)
    secret: str = Field(pattern=r"^[0-9a-f]{64}$", repr=False)
    shared: bool  # with other devices: exported or imported

    @property
    def raw(self) -> bytes:
        return bytes.fromhex(self.secret)

    @property
    def id(self) -> str:
        return secret_id_of(self.raw)


class _Used(BaseModel):
    """An epoch that recordings may carry."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
    secret_id: str = Field(pattern=r"^[0-9a-f]{8}$")
    epoch: int = Field(ge=0, le=MAX_EPOCH)
    last_s: float = Field(allow_inf_nan=False)  # last use by the ring's clock
    here: bool  # False: by a sister, if at all


class _State(BaseModel):
    """The file. The first secret is the current one; the epochs are in order of last use."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)
    earmark_keys: int
    clock_s: float = Field(ge=0.0, allow_inf_nan=False)  # the ring's clock at the last change
    wall_s: float | None = Field(ge=0.0, le=MAX_UNIX_S)  # the wall clock then
    secrets: tuple[_Secret, ...] = Field(min_length=1, max_length=MAX_USED + 1)
    used: tuple[_Used, ...] = Field(max_length=MAX_USED)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        ids = [secret.id for secret in self.secrets]
        if len(set(ids)) < len(ids):
            raise ValueError("a secret is in it twice")
        if not {use.secret_id for use in self.used} <= set(ids):
            raise ValueError("the secret of an epoch is missing")
        return self


class _Header(BaseModel):
    """What every version of the file has."""

    model_config = ConfigDict(strict=True, extra="ignore", hide_input_in_errors=True)
    earmark_keys: int


class _Export(BaseModel):
    """The one line of an export."""

    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)
    earmark_secret: int
    secret: str = Field(pattern=r"^[0-9a-f]{64}$", repr=False)
    secret_id: str
    epoch_days: int


class _ExportHeader(BaseModel):
    """What every version of an export has."""

    model_config = ConfigDict(strict=True, extra="ignore", hide_input_in_errors=True)
    earmark_secret: int


class KeyRing:
    """The secrets in one file; :meth:`open` it. Safe to use from several threads.

    A change by another process is seen at the next call. Every method raises
    :class:`~earmark.errors.KeyringError` when the file cannot be read or written; what it was
    about to change is then unchanged.
    """

    def __init__(
        self, path: Path, settings: KeysSettings, state: _State, monotonic: Callable[[], float]
    ) -> None:
        self._path = path
        self._settings = settings
        self._lock = threading.RLock()
        self._state = state
        self._stamp: tuple[int, ...] = ()
        self._monotonic = monotonic
        self._opened_at = monotonic()
        self._at_opening = state
        self._absence_s = 0.0

    @classmethod
    def open(
        cls,
        path: Path,
        settings: KeysSettings,
        entropy: Callable[[int], bytes] = os.urandom,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> KeyRing:
        """Open the ring; when there is none, create it with a fresh secret.

        A new file has mode 0600, a missing folder gets 0700; a file that is open to others is
        closed to them.

        Parameters
        ----------
        entropy : gives so many random bytes, for the secret.
        monotonic : elapsed time from any origin, s, that nobody can set.

        Raises
        ------
        KeyringError
            The folder cannot be created; the file cannot be read, is no key ring, is damaged, or
            was written by a newer Earmark; the disk is full.
        """
        try:
            if not path.parent.is_dir():
                path.parent.mkdir(mode=0o700, parents=True)
                flush_folder(path.parent.parent)
        except OSError as error:
            what = f"{path.parent}: the key ring's folder cannot be created ({error.strerror})"
            raise KeyringError(what, "create it, owned by this user, or change keys.path") from None
        with _explained(path):
            if not os.path.lexists(path):
                with _locked(path) as folder:
                    if not os.path.lexists(path):  # nobody else was faster
                        secret = _secret(entropy(SECRET_BYTES), shared=False)
                        fresh = _State(
                            earmark_keys=VERSION,
                            clock_s=0.0,
                            wall_s=None,
                            secrets=(secret,),
                            used=(),
                        )
                        _write(path, folder, fresh)
            return cls(path, settings, _read(path), monotonic)

    def current(self, now: float) -> EpochKey:
        """The epoch key to issue a nonce with at wall-clock time `now`, s since 1970.

        Call :meth:`note_used` before the nonce is played.
        """
        with self._lock:
            state = self._fresh()
            return epoch_key(state.secrets[0].raw, self._current(state, now))

    def note_used(self, key: EpochKey, now: float) -> None:
        """Note that a nonce is issued with `key` at `now`; on the disk when this returns.

        Written only when the epoch is another one than at the last call, and once a day.

        Raises
        ------
        KeyringError
            Not noted: the nonce must not be played.
        """

        def noted(state: _State, clock_s: float) -> _State:
            if key.secret_id not in [secret.id for secret in state.secrets]:
                raise KeyringError(
                    f"{self._path}: the secret {key.secret_id} was replaced", "start a new session"
                )
            use = _Used(secret_id=key.secret_id, epoch=key.epoch, last_s=clock_s, here=True)
            others = [other for other in state.used if _pair(other) != _pair(use)]
            return state.model_copy(update={"used": (use, *others)})

        with self._lock:
            state = self._fresh()
            last = state.used[0] if state.used else None
            if (
                last is None
                or _pair(last) != (key.secret_id, key.epoch)
                or not last.here
                or self._clock_s(state, now) - last.last_s >= DAY_S
            ):
                self._change(noted, now)

    def epoch(self, secret_id: str, epoch: int) -> EpochKey | None:
        """The key of any epoch of a secret in the ring; None when the secret is not in it."""
        if not 0 <= epoch <= MAX_EPOCH:
            return None
        with self._lock:
            for secret in self._fresh().secrets:
                if secret.id == secret_id:
                    return epoch_key(secret.raw, epoch)
        return None

    def remembered(self, now: float) -> tuple[EpochKey, ...]:
        """The epochs to search a recording for at wall-clock time `now`, newest first.

        The current one, those used here by their last use, then those that a sister may have
        used; ``max_banks`` at most.
        """
        with self._lock:
            state = self._fresh()
            secrets = {secret.id: secret.raw for secret in state.secrets}
            return tuple(epoch_key(secrets[id_], epoch) for id_, epoch in self._epochs(state, now))

    def replace(self, secret: bytes, now: float) -> None:
        """Make `secret` (32 random bytes) the current one; the old one is retired.

        The old one is kept while its epochs are remembered. A retired one can come back.

        Raises
        ------
        ValueError
            `secret` has another length.
        KeyringError
            It is plainly not random, or not written.
        """
        incoming = _secret(secret, shared=True)

        def replaced(state: _State, clock_s: float) -> _State:
            old = state.secrets[0]
            if any(s.id == incoming.id and s.raw != secret for s in state.secrets):
                raise KeyringError(
                    f"two secrets have the name {incoming.id}", "make another one and share that"
                )
            used = list(state.used)
            if old.raw != secret and old.shared:
                known = {_pair(use) for use in used}
                epoch = self._current(state, now)
                for back in range(min(self._settings.epochs_kept, epoch + 1)):
                    if (old.id, epoch - back) not in known:
                        last_s = clock_s - back * self._settings.epoch_days * DAY_S
                        used.append(
                            _Used(secret_id=old.id, epoch=epoch - back, last_s=last_s, here=False)
                        )
                used.sort(key=lambda use: -use.last_s)  # stable: of equal ones ours come first
            others = [s for s in state.secrets if s.raw != secret]
            return state.model_copy(update={"secrets": (incoming, *others), "used": tuple(used)})

        with self._lock:
            self._change(replaced, now)

    def export(self, file: IO[bytes], now: float) -> str:
        """Write the current secret to `file`, one line, for the other devices of the household.

        Whoever has the file can make and find every nonce of the household: treat it as a secret.

        Returns
        -------
        The name of the secret.
        """

        def marked(state: _State, _: float) -> _State:
            shared = state.secrets[0].model_copy(update={"shared": True})
            return state.model_copy(update={"secrets": (shared, *state.secrets[1:])})

        with self._lock:
            if not self._fresh().secrets[0].shared:
                self._change(marked, now)
            secret = self._state.secrets[0]
        line = _Export(
            earmark_secret=EXPORT_VERSION,
            secret=secret.secret,
            secret_id=secret.id,
            epoch_days=self._settings.epoch_days,
        )
        file.write(_dumped(line))
        return secret.id

    def import_(self, file: IO[bytes], now: float) -> bool:
        """Take over the secret of another device's export (:meth:`replace`).

        Returns
        -------
        Whether it is another one than before.

        Raises
        ------
        KeyringError
            The file is no export, is damaged, has another version, or its household has epochs
            of another length.
        """
        name = str(getattr(file, "name", "import"))
        do = "export again with the same version of Earmark"
        raw = file.read(MAX_EXPORT_BYTES + 1)
        if len(raw) > MAX_EXPORT_BYTES:
            raise KeyringError(f"{name}: longer than {MAX_EXPORT_BYTES} bytes", do)
        header = _parsed(_ExportHeader, raw, name, do)
        if header.earmark_secret != EXPORT_VERSION:
            raise KeyringError(f"{name}: the export's version is not {EXPORT_VERSION}", do)
        export = _parsed(_Export, raw, name, do)
        secret = bytes.fromhex(export.secret)
        if secret_id_of(secret) != export.secret_id:
            raise KeyringError(f"{name}: the secret does not match its name", do)
        if export.epoch_days != self._settings.epoch_days:
            raise KeyringError(
                f"{name}: the household has epochs of {export.epoch_days} days, this device of "
                f"{self._settings.epoch_days}",
                f"set keys.epoch_days to {export.epoch_days} here",
            )
        with self._lock:
            before = self._fresh().secrets[0].raw
            self.replace(secret, now)
        return before != secret

    def show(self, now: float) -> list[str]:
        """What the ring holds at wall-clock time `now`, in lines to print; no key."""
        with self._lock:
            state = self._fresh()
            epoch = self._current(state, now)
            epochs = self._epochs(state, now)
        secret, days = state.secrets[0], self._settings.epoch_days
        here = {_pair(use) for use in state.used if use.here}
        shared = "shared" if secret.shared else "not shared yet"
        lines = [
            f"Household secret {secret.id} ({shared}), epochs of {days} days.",
            f"Nonces are issued in epoch {epoch}, from {_day(epoch, days)}.",
        ]
        if epoch != epoch_of(now, days):
            reason = "it has not been set" if now < SET_CLOCK_S else "too many epochs are in use"
            lines.append(f"The clock says {_day(int(now // DAY_S), 1)}, but {reason}.")
        lines.append(
            f"Recordings are searched for {len(epochs)} epochs, {self._settings.max_banks} at most:"
        )
        for id_, number in epochs:
            user = "used here" if (id_, number) in here else "used by other devices, if at all"
            lines.append(f"  secret {id_}, epoch {number}, from {_day(number, days)}, {user}")
        return lines

    def _current(self, state: _State, now: float) -> int:
        """The epoch to issue in."""
        epoch, id_ = epoch_of(now, self._settings.epoch_days), state.secrets[0].id
        live = self._live(state, self._clock_s(state, now))
        own = [use.epoch for use in live if use.secret_id == id_]
        full = len(live) >= self._settings.max_banks
        # The first epoch of a secret always opens, even if the oldest must give way: an owner
        # imports, no clock does.
        if own and epoch not in own and (full or now < SET_CLOCK_S):
            return own[0]
        return epoch

    def _epochs(self, state: _State, now: float) -> list[tuple[str, int]]:
        """The remembered epochs with the names of their secrets, in order."""
        epoch, id_ = self._current(state, now), state.secrets[0].id
        live = self._live(state, self._clock_s(state, now))
        # Nobody else can have used a secret that never left this device.
        back = self._settings.epochs_kept if state.secrets[0].shared else 1
        before = range(epoch - 1, max(epoch - back, -1), -1)
        ranked = [
            (id_, epoch),
            *(_pair(use) for use in live if use.here),
            *((id_, number) for number in before),
            *(_pair(use) for use in live if not use.here),
        ]
        return list(dict.fromkeys(ranked))[: self._settings.max_banks]

    def _live(self, state: _State, clock_s: float) -> list[_Used]:
        """The epochs in the file whose time is not over, in order of last use."""
        days = self._settings.epoch_days
        kept_days = (self._settings.epochs_kept - 1) * days or min(days, LEAST_KEPT_DAYS)
        return [use for use in state.used if clock_s - use.last_s <= kept_days * DAY_S]

    def _clock_s(self, state: _State, now: float) -> float:
        """The ring's own clock, s. Runs with elapsed time, whatever happens to the wall clock."""
        elapsed_s = self._monotonic() - self._opened_at
        wall_s = self._at_opening.wall_s
        if wall_s is not None:
            # The wall clock may be set right only later; the week is granted once.
            absence_s = min(max(now, 0.0), MAX_UNIX_S) - elapsed_s - wall_s
            self._absence_s = max(self._absence_s, min(absence_s, MAX_ABSENCE_S))
        return max(self._at_opening.clock_s + self._absence_s + elapsed_s, state.clock_s)

    def _fresh(self) -> _State:
        """The state, read again if another process has changed the file."""
        with _explained(self._path):
            stamp = _stamp(self._path)
            if stamp != self._stamp:
                self._state = _read(self._path)
                self._stamp = stamp
        return self._state

    def _change(self, change: Callable[[_State, float], _State], now: float) -> None:
        """Replace the file by `change` (of what is in it now, and the ring's clock)."""
        with _explained(self._path), _locked(self._path) as folder:
            before = _read(self._path)
            clock_s = self._clock_s(before, now)
            changed = change(before, clock_s)
            used = self._live(changed, clock_s)[:MAX_USED]
            needed = {use.secret_id for use in used} | {changed.secrets[0].id}
            state = changed.model_copy(
                update={
                    "clock_s": clock_s,
                    "wall_s": min(max(now, 0.0), MAX_UNIX_S),
                    "used": tuple(used),
                    "secrets": tuple(s for s in changed.secrets if s.id in needed),
                }
            )
            _write(self._path, folder, state)
            self._state = state
            self._stamp = _stamp(self._path)


def _secret(secret: bytes, *, shared: bool) -> _Secret:
    """`secret`, checked as far as one can."""
    if len(secret) != SECRET_BYTES:
        raise ValueError(f"a household secret has {SECRET_BYTES} bytes")
    if len(set(secret)) < LEAST_DISTINCT:
        raise KeyringError("the secret is not random", "draw 32 bytes from a random generator")
    return _Secret(secret=secret.hex(), shared=shared)


def _pair(use: _Used) -> tuple[str, int]:
    return use.secret_id, use.epoch


def _day(epoch: int, epoch_days: int) -> str:
    """The first day of `epoch`, UTC."""
    start_s = min(max(epoch, 0) * epoch_days * DAY_S, MAX_UNIX_S)
    return datetime.fromtimestamp(start_s, UTC).date().isoformat()


# The file


_Model = TypeVar("_Model", bound=BaseModel)


def _parsed(model: type[_Model], raw: bytes, name: str, do: str) -> _Model:
    """`raw` as a `model`; a fault is named by place and rule, as the value may be a secret."""
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in fault["loc"])
        raise KeyringError(f"{name}: {place + ': ' if place else ''}{fault['msg']}", do) from None


def _dumped(model: BaseModel) -> bytes:
    return json.dumps(model.model_dump(), separators=(",", ":")).encode() + b"\n"


def _stamp(path: Path) -> tuple[int, ...]:
    """Differs after the file was replaced."""
    found = path.lstat()
    return found.st_ino, found.st_mtime_ns, found.st_size


def _read(path: Path) -> _State:
    """The state in the file, checked; the file is closed to others."""
    # Not blocking: a named pipe in its place must not hold the device.
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(handle, "rb") as file:
        mode = os.fstat(handle).st_mode
        if not stat.S_ISREG(mode):
            raise KeyringError(f"{path}: the key ring is no file", "set keys.path to a file")
        if stat.S_IMODE(mode) & 0o077:
            os.fchmod(handle, 0o600)
        raw = file.read(MAX_FILE_BYTES + 1)
    if len(raw) > MAX_FILE_BYTES:
        raise KeyringError(f"{path}: the file is larger than {MAX_FILE_BYTES} bytes", _REPLACE)
    version = _parsed(_Header, raw, str(path), _REPLACE).earmark_keys
    if version > VERSION:
        raise KeyringError(
            f"{path}: the key ring has version {version}, this Earmark knows up to {VERSION}",
            "install the newer Earmark again",
        )
    if version < 1:
        raise KeyringError(f"{path}: there is no version {version}", _REPLACE)
    return _parsed(_State, raw, str(path), _REPLACE)


def _write(path: Path, folder: int, state: _State) -> None:
    """Replace the file, whole or not at all; `folder` is its folder, open and locked."""
    replace_file(path, _dumped(state), lambda handle: _give_to_owner(path, folder, handle))
    os.fsync(folder)


def _give_to_owner(path: Path, folder: int, handle: int) -> None:
    """What root writes (``sudo earmark keys import``) must stay readable for the service."""
    if os.geteuid() != 0:
        return
    try:
        owner = path.lstat()
    except FileNotFoundError:
        owner = os.fstat(folder)
    os.fchown(handle, owner.st_uid, owner.st_gid)


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """The folder of `path`, opened and locked: the file itself is replaced, a lock on it too."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not lock(folder, LOCK_WAIT_S):
            raise KeyringError(
                f"{path}: another process holds the key ring", "stop it, or try again"
            )
        yield folder
    finally:
        os.close(folder)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn an error of the system into one clear line."""
    try:
        yield
    except OSError as error:
        unknown = (str(error.strerror or error), "check the disk; no session starts until then")
        what, do = _FAILURES.get(error.errno or 0, unknown)
        raise KeyringError(f"{path}: {what}", do) from error
