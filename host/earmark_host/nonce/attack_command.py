"""The command ``earmark-host attack nonce``."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import soundfile

from earmark.errors import AudioError, EarmarkError
from earmark.signal import RATE_HZ, Signal
from earmark_host.nonce.attacks import ATTACKS, Attack, Loot
from earmark_host.nonce.attacks.loot import Need

LONGEST_S = 120.0
"""Longest file that is read, s: ten times the longest command."""

OPTIONS: Mapping[Need, tuple[str, str]] = {
    Need.NOISE_ONLY: ("--noise", "a recording by the same recorder with nonce but without speech"),
    Need.REFERENCE: ("--reference", "what a second recorder near the device recorded meanwhile"),
    Need.NOISE_REFERENCE: ("--noise-reference", "what the second recorder heard during --noise"),
    Need.CLEAN: ("--clean", "the same recording without any nonce"),
}
"""The option that gives what an attack needs, and what it is."""


def listing() -> list[str]:
    """One line for each attack: its name, what it does, the options that it needs."""
    width = max(len(name) for name in ATTACKS)
    return [
        f"{name:<{width}}  {attack.about}"
        + "".join(f" [{OPTIONS[need][0]}]" for need in attack.needs)
        for name, attack in ATTACKS.items()
    ]


def attack(
    name: str,
    source: Path,
    target: Path,
    noise_only: Path | None = None,
    reference: Path | None = None,
    clean: Path | None = None,
    seed: int = 1,
    noise_reference: Path | None = None,
) -> str:
    """Attack the recording in `source` and write the result to `target`.

    Parameters
    ----------
    name : of the attack, as :func:`listing` has it.
    source : recording of a command with its nonce, 16 kHz mono, at most 120 s.
    target : WAV file to write, 32-bit float, 16 kHz; replaced if it exists.
    noise_only, reference, clean, noise_reference : files of what
        :class:`earmark_host.nonce.attacks.Loot` holds.
    seed : of what is random in the attack.

    Returns
    -------
    One line for the user.

    Raises
    ------
    EarmarkError
        The name is unknown, a file that the attack needs was not given, or one cannot be read or
        written; the message says which and what to do.
    """
    chosen = _find(name)
    given = {
        Need.NOISE_ONLY: noise_only,
        Need.REFERENCE: reference,
        Need.NOISE_REFERENCE: noise_reference,
        Need.CLEAN: clean,
    }
    for need in chosen.needs:
        if given[need] is None:
            option, what = OPTIONS[need]
            raise EarmarkError(f"the attack {name} needs {what}", f"give it with {option} FILE")
    if target.suffix.lower() != ".wav":
        raise EarmarkError(f"{target} is no WAV file by its name", "let it end in .wav")
    for path in (source, *given.values()):
        if path is not None and path.resolve() == target.resolve():
            raise EarmarkError(f"{target} is read and written", "name another file to write")
    recording = _read(source)
    bare = recording if clean is None else _read(clean, source, recording.size)
    noise = None if noise_only is None else _read(noise_only)
    noise_heard = None
    if noise is not None and noise_only is not None and noise_reference is not None:
        noise_heard = _read(noise_reference, noise_only, noise.size)
    loot = Loot(
        recording=recording,
        noise_only=noise,
        reference=None if reference is None else _read(reference, source, recording.size),
        clean=bare,
        wet_nonce=recording - bare,
        noise_reference=noise_heard,
    )
    processed = chosen.apply(loot, np.random.default_rng(seed))
    try:
        soundfile.write(target, processed, RATE_HZ, format="WAV", subtype="FLOAT")
    except (OSError, soundfile.SoundFileError) as error:
        raise AudioError(
            f"{target} cannot be written ({error})", "name a file in a folder that exists"
        ) from error
    return f"{target}: {name}, {processed.size / RATE_HZ:.2f} s"


def _find(name: str) -> Attack:
    if name in ATTACKS:
        return ATTACKS[name]
    near = difflib.get_close_matches(name, ATTACKS, n=1)
    raise EarmarkError(
        f"there is no attack {name!r}" + (f", but {near[0]}" if near else ""),
        "earmark-host attack nonce --list names all of them",
    )


def _read(path: Path, source: Path | None = None, size: int | None = None) -> Signal:
    try:
        with soundfile.SoundFile(path) as file:
            if file.samplerate != RATE_HZ or file.channels != 1:
                raise AudioError(
                    f"{path} has {file.samplerate} Hz and {file.channels} channel(s), "
                    f"{RATE_HZ} Hz and 1 are needed",
                    f"convert it: ffmpeg -i '{path}' -ar {RATE_HZ} -ac 1 '{path.stem}_16k.wav'",
                )
            most = round(LONGEST_S * RATE_HZ)
            signal: Signal = file.read(most + 1, dtype="float32")
    except (OSError, soundfile.SoundFileError) as error:
        raise AudioError(
            f"{path} cannot be read ({error})", "give a WAV, FLAC or Opus file"
        ) from error
    if signal.size > most:
        raise AudioError(f"{path} is longer than {LONGEST_S:g} s", "cut it around the command")
    if signal.size == 0 or not np.all(np.isfinite(signal)):
        raise AudioError(f"{path} is empty or not finite", "record it again")
    if size is not None and signal.size != size:
        raise AudioError(
            f"{path} has {signal.size} samples, {source} has {size}",
            "cut both out of the same time",
        )
    return signal
