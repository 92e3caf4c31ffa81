"""``bench wake``: the wake word and the endpointer on recordings, without room and nonce.

Three questions. Is the wake word heard, and how soon, when a command follows at once or after a
breath? Is it heard where it was not said? Does the endpointer find a command, a single word
included, and its end?
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from earmark.audio import AudioSettings, microphone_dbfs
from earmark.config import Config
from earmark.signal import BLOCK, BLOCK_S, RATE_HZ, Signal, active_level_dbfs, gain
from earmark.wake import MicroEndpointer, MicroWake
from earmark_host.bench.corpus import Clip, Corpus, draw
from earmark_host.bench.report import Metric, Report, Row, share_columns
from earmark_host.bench.speech import spoken

GAPS_MS = (0, 100, 300, 1000)
"""Pauses between the wake word and the command, ms: none, a consonant's, a breath, a thought."""

SPEECH_DBSPL = 60.0
"""Speech at the microphone, dB SPL: a person at 1 m."""

NOISE_DBSPL = 35.0
"""Noise of a quiet home, white, dB SPL."""

LEAD_S = 3.5
"""Noise before anybody speaks, s: the detectors and the endpointer get to know the room."""

TAIL_S = 3.0
"""Noise afterwards, s: longer than any detector's delay."""

LONGEST_COMMAND_S = 6.0
"""Longest command, s."""

EARLY_S = 0.5
"""An end that is found this long before the speech ends cuts the command, s."""

FULL, QUICK = 200, 25
"""Clips of each role that are played at most."""


def run(folder: Path, *, seed: int, quick: bool, config: Config | None = None) -> Report:
    """Play the clips of a corpus to the detectors.

    Parameters
    ----------
    folder : of the corpus; wake words are its clips of the role ``wakeword`` whose label is that
        of ``wake.model``, with `_` for blanks.
    seed : of everything random.
    quick : few clips.
    config : of the device; the defaults when None.

    Raises
    ------
    EarmarkError
        The corpus lacks a role, or the detectors do not load.
    """
    config = config or Config()
    most = QUICK if quick else FULL
    corpus = Corpus.open(folder)
    corpus.require("wakeword", "speech")
    rng = np.random.default_rng(seed)
    model = config.wake.model
    said = [c for c in corpus.role("wakeword") if c.label.replace(" ", "_") == model]
    others = [c for c in corpus.role("wakeword") if c.label.replace(" ", "_") != model]
    metrics, tables = _wake(corpus, config, _some(said, most, rng), _some(others, most, rng), rng)
    roles = [role for role in ("speech", "command") if corpus.has(role)]
    ends: list[Row] = []
    for role in roles:
        found, row = _endpoints(corpus, config, _some(corpus.role(role), most, rng), role, rng)
        metrics += found
        ends.append(row)
    return Report(
        bench="wake",
        seed=seed,
        data={"folder": folder.name, "manifest_sha256": corpus.manifest_sha256},
        conditions={
            "model": model,
            "speech_dbspl": SPEECH_DBSPL,
            "noise_dbspl": f"{NOISE_DBSPL:g}, white",
            "room": "none: clips as they are",
            "quick": quick,
        },
        metrics=metrics,
        tables={**tables, "endpointing": ends},
    )


def _wake(
    corpus: Corpus,
    config: Config,
    said: list[Clip],
    others: list[Clip],
    rng: np.random.Generator,
) -> tuple[list[Metric], dict[str, list[Row]]]:
    found: list[Metric] = []
    rows: list[Row] = []
    delays_s: list[float] = []
    for gap_ms in GAPS_MS:
        heard = twice = 0
        for clip in said:
            word = _levelled(spoken(corpus.load(clip), LONGEST_COMMAND_S))
            command = _levelled(corpus.load(draw(corpus.role("speech"), rng)))
            command = spoken(command, LONGEST_COMMAND_S)
            gap = np.zeros(round(gap_ms * 1e-3 * RATE_HZ), np.float32)
            sound = np.concatenate([word, gap, command])
            times = _detections(config, _in_noise(sound, rng))
            ends_s = LEAD_S + word.size / RATE_HZ
            heard += bool(times)
            twice += len(times) > 1
            delays_s += [time - ends_s for time in times[:1]]
        found.append(Metric.share(f"wake_found_gap_{gap_ms}ms", heard, len(said)))
        row = {"gap_ms": gap_ms, "twice": twice}
        rows.append(row | share_columns(heard, len(said), "found_share"))
    alarms = sum(
        bool(_detections(config, _in_noise(_levelled(corpus.load(clip)), rng))) for clip in others
    )
    found += [
        Metric.quantile("wake_delay_s_p50", delays_s, 0.5, "s"),
        Metric.quantile("wake_delay_s_p95", delays_s, 0.95, "s"),
        Metric.share("wake_other_words", alarms, len(others)),
    ]
    return found, {"wake_by_gap": rows}


def _detections(config: Config, sound: Signal) -> list[float]:
    """When the wake word was heard, s from the beginning of `sound`."""
    detector = MicroWake(config.wake)
    blocks = sound.reshape(-1, BLOCK)
    return [(i + 1) * BLOCK_S for i, block in enumerate(blocks) if detector.heard(block)]


def _endpoints(
    corpus: Corpus, config: Config, clips: list[Clip], role: str, rng: np.random.Generator
) -> tuple[list[Metric], Row]:
    unheard = cut = unended = 0
    late_s: list[float] = []
    for clip in clips:
        command = _levelled(spoken(corpus.load(clip), LONGEST_COMMAND_S))
        sound = _in_noise(command, rng).reshape(-1, BLOCK)
        ears = MicroEndpointer(config.wake.endpoint)
        lead = round(LEAD_S / BLOCK_S)
        for block in sound[:lead]:
            ears.overhear(block)
        ears.reset()
        on = np.array([ears.feed(block) for block in sound[lead:]])
        if not on.any():
            unheard += 1
            continue
        # The first end is the one that counts: a session would be over.
        first = int(np.argmax(on))
        ended = np.flatnonzero(~on[first:])
        if not ended.size:
            unended += 1
            continue
        late = (first + int(ended[0]) + 1) * BLOCK_S - command.size / RATE_HZ
        late_s.append(late)
        cut += late < -EARLY_S
    n = len(clips)
    metrics = [
        Metric.share(f"endpoint_unheard_{role}", unheard, n),
        Metric.share(f"endpoint_cut_{role}", cut, n),
        Metric.quantile(f"endpoint_late_s_p50_{role}", late_s, 0.5, "s"),
        Metric.quantile(f"endpoint_late_s_p95_{role}", late_s, 0.95, "s"),
    ]
    return metrics, {"role": role, "unheard": unheard, "cut": cut, "unended": unended, "n": n}


def _some(clips: Sequence[Clip], most: int, rng: np.random.Generator) -> list[Clip]:
    """At most so many, drawn without repetition."""
    chosen = rng.permutation(len(clips))[:most]
    return [clips[int(index)] for index in chosen]


def _levelled(signal: Signal) -> Signal:
    """`signal` as loud as speech is at the microphone."""
    level = microphone_dbfs(SPEECH_DBSPL, AudioSettings())
    return np.asarray(signal * np.float32(gain(level - active_level_dbfs(signal))), np.float32)


def _in_noise(signal: Signal, rng: np.random.Generator) -> Signal:
    """`signal` with the noise of the room under it, before it and after it; whole blocks."""
    size = -(-(round((LEAD_S + TAIL_S) * RATE_HZ) + signal.size) // BLOCK) * BLOCK
    out = rng.standard_normal(size).astype(np.float32)
    out *= np.float32(gain(microphone_dbfs(NOISE_DBSPL, AudioSettings())))
    start = round(LEAD_S * RATE_HZ)
    out[start : start + signal.size] += signal
    return out
