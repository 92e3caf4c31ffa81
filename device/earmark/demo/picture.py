"""One picture a session: what the microphone heard, the nonce in it, and what was forwarded.

Drawn with Pillow alone, so that a speaker needs no plotting library. The marks of the slots say
right or wrong, never which bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from earmark.audio import AudioSettings, microphone_dbspl
from earmark.demo import words
from earmark.demo.evening import SceneResult, Sound
from earmark.gate import Decision, Reason
from earmark.nonce import Report
from earmark.signal import RATE_HZ, Signal

SIZE = (1200, 830)
"""Width and height, pixels."""

_LEFT, _RIGHT = 92, 1080
"""Where the plots begin and end; the scale of levels stands to their right."""

_SLOTS_Y, _SPEECH_Y, _STRIP = 116, 140, 16
"""The two strips above the upper plot, and their height."""

_UPPER, _LOWER = (184, 444), (498, 758)
"""Top and bottom of the two plots."""

_WINDOW = 512
"""Samples a spectrum, 32 ms: resolves the syllables and the nonce's slots alike."""

_HOP = 128
"""Samples from one spectrum to the next, 8 ms."""

_RANGE_DBSPL = (0.0, 55.0)
"""Levels that the colours span, dB SPL in each 31 Hz: from under the microphone's own noise
(6 dB) to the vowels of a person at 1 m."""

_COLOURS = 64
"""Steps of the colour map, just under 1 dB each: finer ones only make the file larger."""

_VIRIDIS = (
    (68, 1, 84),
    (71, 44, 122),
    (59, 81, 139),
    (44, 113, 142),
    (33, 144, 141),
    (39, 173, 129),
    (92, 200, 99),
    (170, 220, 50),
    (253, 231, 37),
)
"""Nine colours of viridis (S. van der Walt and N. Smith, CC0): even steps to the eye, also to a
colour-blind one and in grey."""

_INK, _FAINT, _PAPER = (26, 32, 44), (113, 128, 150), (255, 255, 255)
_RIGHT_SLOT, _WRONG_SLOT, _NO_SLOT = (43, 108, 176), (221, 107, 32), (203, 213, 224)
_SPEECH, _BARE = (74, 85, 104), (221, 107, 32)
_VERDICT = {
    Decision.ALLOW: (39, 103, 73),
    Decision.RETRY: (151, 90, 22),
    Decision.REJECT: (155, 44, 44),
    None: _INK,
}

_Colour = tuple[int, int, int]


def draw(result: SceneResult, sound: Sound) -> Image.Image:
    """The picture of one session."""
    image = Image.new("RGB", SIZE, _PAPER)
    pen = ImageDraw.Draw(image)
    _head(pen, result)
    span = _Span(0.0, max(sound.microphone.size, _WINDOW) / RATE_HZ)
    _strips(pen, span, sound)
    audio = sound.config.audio
    _plot(image, pen, span, spectrogram_dbspl(sound.microphone, audio), _UPPER)
    _caption(pen, _UPPER, f"Microphone of the {words.place(result.scene.room)} device")
    if sound.judgement is None:
        pen.rectangle((_LEFT, _LOWER[0], _RIGHT, _LOWER[1]), outline=_FAINT)
        _centred(pen, _LOWER, "nothing was judged and nothing was forwarded")
    else:
        cleaned = sound.judgement.evidence.cleaned
        _plot(image, pen, span, spectrogram_dbspl(cleaned, audio), _LOWER)
        _caption(pen, _LOWER, _after(result))
    _mark_bands(pen, span, result, sound)
    _time_axis(pen, span)
    _scale(image, pen)
    _legend(pen, result, sound)
    return image


def save(path: Path, result: SceneResult, sound: Sound) -> None:
    """Write the picture as PNG with at most 256 colours (some 200 kB)."""
    image = draw(result, sound)
    # The colours of the plots are few already; only the edges of the letters are rounded.
    # Not `optimize`: it saves 2 % of the bytes and takes 2.5 times as long.
    image.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(path)


@dataclass(frozen=True)
class _Span:
    """From recording time, s, to pixels."""

    start_s: float
    end_s: float

    def x(self, time_s: float) -> float:
        share = (time_s - self.start_s) / (self.end_s - self.start_s)
        return _LEFT + min(1.0, max(0.0, share)) * (_RIGHT - _LEFT)


# Words


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)


def _text(
    pen: ImageDraw.ImageDraw,
    at: tuple[float, float],
    text: str,
    size: int = 16,
    fill: _Colour = _INK,
    anchor: str = "la",
) -> None:
    pen.text(at, text, font=_font(size), fill=fill, anchor=anchor)


def _head(pen: ImageDraw.ImageDraw, result: SceneResult) -> None:
    place = words.place(result.scene.room)
    _text(pen, (_LEFT, 14), result.scene.title, 27)
    _text(
        pen,
        (SIZE[0] - 20, 22),
        f"{place}, {words.clock(result.began_unix_s)} (simulated)",
        17,
        _FAINT,
        "ra",
    )
    colour = _VERDICT[result.decision]
    _symbol(pen, result.decision, (_LEFT + 11, 69), colour)
    why = words.reason(result)
    line = f"{words.done(result)}: {why}; {words.detail(result)}"
    if not result.as_expected:
        line += f". Expected was {result.expected.decision.value}"
    _text(pen, (_LEFT + 34, 58), line, 19, colour)


def _symbol(
    pen: ImageDraw.ImageDraw,
    decision: Decision | None,
    centre: tuple[float, float],
    colour: _Colour,
) -> None:
    """A tick, a turning arrow or a cross: the verdict without its colour."""
    x, y = centre
    if decision is Decision.ALLOW:
        pen.line([(x - 9, y), (x - 2, y + 8), (x + 10, y - 9)], colour, 4, "curve")
    elif decision is Decision.RETRY:
        pen.arc((x - 9, y - 9, x + 9, y + 9), 300, 230, colour, 4)
        pen.polygon([(x - 1, y - 12), (x - 9, y - 9), (x - 3, y - 2)], colour)
    else:
        pen.line([(x - 8, y - 8), (x + 8, y + 8)], colour, 4)
        pen.line([(x - 8, y + 8), (x + 8, y - 8)], colour, 4)


def _caption(pen: ImageDraw.ImageDraw, plot: tuple[int, int], text: str) -> None:
    _text(pen, (_LEFT, plot[0] - 6), text, 17, anchor="ls")


def _centred(pen: ImageDraw.ImageDraw, plot: tuple[int, int], text: str) -> None:
    middle = ((_LEFT + _RIGHT) / 2, (plot[0] + plot[1]) / 2)
    _text(pen, middle, text, 19, _FAINT, "mm")


def _after(result: SceneResult) -> str:
    lowered = f"{result.suppression_db or 0.0:.0f} dB"
    if result.enrols and result.decision is Decision.ALLOW:
        return f"For the voiceprint: the command with the nonce lowered by {lowered}"
    if result.decision is Decision.ALLOW:
        return f"Forwarded: the same with the nonce lowered by {lowered}"
    if result.reason is Reason.NONCE_ABSENT:
        return "Not forwarded: there was no nonce to take out"
    return f"Not forwarded: the same with the current nonce lowered by {lowered}"


# Plots


def spectrogram_dbspl(signal: Signal, settings: AudioSettings) -> NDArray[np.float32]:
    """Short-time spectrum as dB SPL at the microphone in each bin of 31 Hz.

    Parameters
    ----------
    signal : shape (n,), at RATE_HZ.

    Returns
    -------
    Shape (frames, 257), from 0 Hz to 8 kHz.
    """
    padded = np.pad(signal, (0, max(0, _WINDOW - signal.size)))
    window = np.hanning(_WINDOW).astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP] * window
    # Power in a bin, such that white noise adds up to its level over all bins.
    power = 2.0 * np.abs(np.fft.rfft(frames, axis=1)) ** 2 / (_WINDOW * np.sum(window**2))
    level = 10.0 * np.log10(np.maximum(power, 1e-20)) + microphone_dbspl(0.0, settings)
    return np.asarray(level, np.float32)


def _palette() -> NDArray[np.uint8]:
    at = np.linspace(0.0, len(_VIRIDIS) - 1.0, _COLOURS)
    table = np.asarray(_VIRIDIS, dtype=np.float64)
    channels = [np.interp(at, np.arange(len(_VIRIDIS)), table[:, c]) for c in range(3)]
    return np.asarray(np.round(np.stack(channels, axis=1)), np.uint8)


def _coloured(level_dbspl: NDArray[np.float32]) -> NDArray[np.uint8]:
    low, high = _RANGE_DBSPL
    share = np.clip((level_dbspl - low) / (high - low), 0.0, 1.0)
    return np.asarray(_palette()[np.round(share * (_COLOURS - 1)).astype(np.intp)])


def _plot(
    image: Image.Image,
    pen: ImageDraw.ImageDraw,
    span: _Span,
    level_dbspl: NDArray[np.float32],
    plot: tuple[int, int],
) -> None:
    """A spectrogram with its axis of frequencies."""
    top, bottom = plot
    # Stretched as levels, then coloured: colours must not be mixed.
    level = Image.fromarray(level_dbspl.T[::-1].copy())
    size = (_RIGHT - _LEFT, bottom - top)
    stretched = np.asarray(level.resize(size, Image.Resampling.BILINEAR))
    image.paste(Image.fromarray(_coloured(stretched)), (_LEFT, top))
    pen.rectangle((_LEFT - 1, top - 1, _RIGHT, bottom), outline=_INK)
    for khz in range(0, 9, 2):
        y = _y(plot, 1000.0 * khz)
        pen.line([(_LEFT - 6, y), (_LEFT - 1, y)], _INK)
        _text(pen, (_LEFT - 10, y), str(khz), 15, anchor="rm")
    _upright(image, "frequency, kHz", (28, (top + bottom) // 2))


def _y(plot: tuple[int, int], hz: float) -> float:
    top, bottom = plot
    return bottom - 1 - hz / (RATE_HZ / 2) * (bottom - top - 1)


def _upright(image: Image.Image, text: str, centre: tuple[int, int]) -> None:
    """Text from bottom to top."""
    left, top, right, bottom = _font(16).getbbox(text)
    label = Image.new("RGB", (int(right - left) + 4, int(bottom - top) + 6), _PAPER)
    ImageDraw.Draw(label).text((2 - left, 2 - top), text, font=_font(16), fill=_INK)
    turned = label.rotate(90, expand=True)
    image.paste(turned, (centre[0] - turned.width // 2, centre[1] - turned.height // 2))


def _time_axis(pen: ImageDraw.ImageDraw, span: _Span) -> None:
    step = 0.5 if span.end_s <= 6.0 else 1.0
    for plot in (_UPPER, _LOWER):
        for tick in np.arange(span.start_s, span.end_s + 1e-6, step):
            x = span.x(float(tick))
            pen.line([(x, plot[1] + 1), (x, plot[1] + 6)], _INK)
            _text(pen, (x, plot[1] + 9), f"{tick:g}", 15, anchor="ma")
    _text(pen, (_RIGHT + 14, _LOWER[1] + 9), "time, s", 15)


def _scale(image: Image.Image, pen: ImageDraw.ImageDraw) -> None:
    """The colours and the levels that they stand for."""
    low, high = _RANGE_DBSPL
    top, bottom = _UPPER
    left, width = _RIGHT + 26, 18
    ramp = np.linspace(high, low, bottom - top, dtype=np.float32)[:, None]
    bar = np.repeat(_coloured(ramp), width, axis=1)
    image.paste(Image.fromarray(bar), (left, top))
    pen.rectangle((left - 1, top - 1, left + width, bottom), outline=_INK)
    for level in range(int(low), int(high) + 1, 10):
        y = bottom - 1 - (level - low) / (high - low) * (bottom - top - 1)
        pen.line([(left + width, y), (left + width + 5, y)], _INK)
        _text(pen, (left + width + 9, y), str(level), 15, anchor="lm")
    _text(pen, (left - 8, bottom + 10), "dB SPL", 14)
    _text(pen, (left - 8, bottom + 26), "in 31 Hz", 14)


# Marks


def _strips(pen: ImageDraw.ImageDraw, span: _Span, sound: Sound) -> None:
    """The nonce's slots and the command, above the upper plot."""
    _text(pen, (_LEFT - 10, _SLOTS_Y + 8), "nonce", 15, anchor="rm")
    _text(pen, (_LEFT - 10, _SPEECH_Y + 8), "command", 15, anchor="rm")
    judgement = sound.judgement
    if judgement is None:
        if sound.listening_s is not None:
            start, end = (span.x(at) for at in sound.listening_s)
            _box(pen, start, end, _SLOTS_Y, _NO_SLOT)
            _wake_word(pen, start)
        return
    _wake_word(pen, span.x(judgement.recorded.played_at_s))
    report = judgement.evidence.nonce
    if report is not None:
        _slots(pen, span, report)
    if judgement.evidence.speech is not None:
        start, end = (span.x(at) for at in judgement.evidence.speech)
        _box(pen, start, end, _SPEECH_Y, _SPEECH)
    for first, last in _bare(sound):
        _hatched(pen, span.x(first), span.x(last), _SPEECH_Y)


def _bare(sound: Sound) -> tuple[tuple[float, float], ...]:
    """Where the nonce does not cover the command: everywhere when there is none."""
    judgement = sound.judgement
    if judgement is None or judgement.evidence.speech is None:
        return ()
    report = judgement.evidence.nonce
    if report is None or not report.present:
        return (judgement.evidence.speech,)
    return judgement.uncovered


def _wake_word(pen: ImageDraw.ImageDraw, recognised: float) -> None:
    """Says what is heard just before the nonce begins."""
    _text(pen, (recognised - 4, _SPEECH_Y + 8), "wake word", 15, _FAINT, "rm")
    pen.line([(recognised, _SPEECH_Y), (recognised, _SPEECH_Y + _STRIP)], _FAINT, 2)


def _slots(pen: ImageDraw.ImageDraw, span: _Span, report: Report) -> None:
    if report.slots == 0:
        return
    first, last = report.covered
    slot_s = (last - first) / report.slots
    for slot in range(report.slots):
        left = span.x(first + slot * slot_s)
        right = span.x(first + (slot + 1) * slot_s) - 2
        if not report.present:
            _box(pen, left, right, _SLOTS_Y, _NO_SLOT)
        elif slot in report.wrong_slots:
            _box(pen, left, right, _SLOTS_Y, _WRONG_SLOT)
            pen.line([(left, _SLOTS_Y), (right, _SLOTS_Y + _STRIP)], _PAPER, 2)
            pen.line([(left, _SLOTS_Y + _STRIP), (right, _SLOTS_Y)], _PAPER, 2)
        else:
            _box(pen, left, right, _SLOTS_Y, _RIGHT_SLOT)


def _box(pen: ImageDraw.ImageDraw, left: float, right: float, top: int, fill: _Colour) -> None:
    pen.rectangle((left, top, max(left, right), top + _STRIP), fill)


def _hatched(pen: ImageDraw.ImageDraw, left: float, right: float, top: int) -> None:
    pen.rectangle((left, top, right, top + _STRIP), _PAPER, _BARE, 2)
    for x in np.arange(left - _STRIP, right, 7.0):
        # A stroke from bottom to top, cut off at both ends of the box.
        start, end = max(left, x), min(right, x + _STRIP)
        if end > start:
            pen.line(
                [(start, top + _STRIP - (start - x)), (end, top + _STRIP - (end - x))], _BARE, 2
            )


def _mark_bands(pen: ImageDraw.ImageDraw, span: _Span, result: SceneResult, sound: Sound) -> None:
    """Frames around where the nonce is, and where one of an earlier session was found."""
    nonce = sound.config.nonce
    shape = nonce.spread if nonce.waveform == "spread" else nonce.bfsk
    band_hz = (shape.band_low_hz, shape.band_high_hz)
    label = f"the nonce, {band_hz[0] / 1e3:g} to {band_hz[1] / 1e3:g} kHz"
    if sound.judgement is None:
        if sound.listening_s is not None:
            # Without a report nobody knows how late it was heard: no frame.
            _label(pen, span.x(sound.listening_s[0]), _y(_UPPER, band_hz[1]) - 3, label)
        return
    report = sound.judgement.evidence.nonce
    if report is not None and report.present:
        start, end = (span.x(at) for at in report.covered)
        _frame(pen, (start, end), _UPPER, band_hz, label)
    if (made := words.recorded(result)) is not None:
        speech = sound.judgement.evidence.speech or (span.start_s, span.end_s)
        start, end = (span.x(at) for at in speech)
        _frame(pen, (start, end), _LOWER, band_hz, f"an earlier nonce: {made}")


def _frame(
    pen: ImageDraw.ImageDraw,
    ends: tuple[float, float],
    plot: tuple[int, int],
    band_hz: tuple[float, float],
    label: str,
) -> None:
    low, high = _y(plot, band_hz[0]) + 3, _y(plot, band_hz[1]) - 3
    pen.rectangle((ends[0], high, ends[1] - 1, low), outline=_PAPER, width=2)
    _label(pen, ends[0], high, label)


def _label(pen: ImageDraw.ImageDraw, left: float, bottom: float, label: str) -> None:
    width = pen.textlength(label, font=_font(16))
    pen.rectangle((left, bottom - 24, left + width + 14, bottom), _PAPER)
    _text(pen, (left + 7, bottom - 12), label, 16, anchor="lm")


def _legend(pen: ImageDraw.ImageDraw, result: SceneResult, sound: Sound) -> None:
    """What the marks of this picture mean."""
    x, top = float(_LEFT), SIZE[1] - 34
    judgement = sound.judgement
    entries: list[tuple[str, _Colour | None]] = []
    if judgement is None:
        entries.append(("the nonce played", _NO_SLOT))
    elif (report := judgement.evidence.nonce) is None or not report.present:
        entries.append(("slot not found", _NO_SLOT))
    else:
        right = report.slots - report.slot_errors
        entries += [(f"{right} slots right", _RIGHT_SLOT), ("command", _SPEECH)]
        entries.insert(1, (f"{report.slot_errors} wrong", _WRONG_SLOT))
    if _bare(sound):
        entries.append(("command not covered by the nonce", None))
    for label, colour in entries:
        if colour is None:
            _hatched(pen, x, x + 30, top)
        else:
            _box(pen, x, x + 30, top, colour)
        if colour is _WRONG_SLOT:
            pen.line([(x + 7, top), (x + 23, top + _STRIP)], _PAPER, 2)
            pen.line([(x + 7, top + _STRIP), (x + 23, top)], _PAPER, 2)
        _text(pen, (x + 40, top + 8), label, 16, anchor="lm")
        x += 40 + pen.textlength(label, font=_font(16)) + 36
    figures = f"decision {1e3 * result.decision_cpu_s:.0f} ms of CPU"
    if result.latency_s is not None:
        figures = f"verdict {result.latency_s:.2f} s after the command, {figures}"
    if judgement is not None:
        _text(pen, (SIZE[0] - 20, top + 8), figures, 15, _FAINT, "rm")
