"""The command that leaves Earmark, and how it is written down."""

from __future__ import annotations

import io
import json
import math
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import soundfile

from earmark.gate import Decision, Reason, Verdict
from earmark.signal import RATE_HZ, Signal

_SESSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
"""Session identifiers become part of file names, so they hold no separator and no dot."""


@dataclass(frozen=True, eq=False)
class Command:
    """An allowed command; one that was not allowed cannot be made into a Command.

    Parameters
    ----------
    audio : shape (n,), float32 at ``RATE_HZ``, the command with the nonce taken out. A
        read-only copy is kept.
    session : identifier of the session: 1 to 64 letters, digits, ``_`` and ``-``.
    device, place : which device heard it, and where it stands.
    woken_unix_s : when the wake word was heard, s since 1970 UTC.
    uncovered_s : stretches (start, end) of `audio` that the nonce did not cover, s.
    verdict : the verdict that allows it.
    person : name of the enrolled person who spoke; None when that is not known, as of a guest.
    text : what a recogniser understood; None when none was asked.

    Raises
    ------
    ValueError
        The verdict does not allow, or a value is out of its range.
    """

    audio: Signal
    session: str
    device: str
    place: str
    woken_unix_s: float
    uncovered_s: tuple[tuple[float, float], ...]
    verdict: Verdict
    person: str | None = None
    text: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        # Behind the session machine's back as well: nothing leaves that was not allowed.
        if self.verdict.decision is not Decision.ALLOW or self.verdict.reason is not Reason.FRESH:
            raise ValueError(
                f"a verdict {self.verdict.decision.value}/{self.verdict.reason.value}"
                " forwards nothing"
            )
        if self.audio.ndim != 1 or self.audio.dtype != np.float32 or self.audio.size == 0:
            raise ValueError("audio must be 1-D float32 and not empty")
        if not np.isfinite(self.audio).all():
            raise ValueError("audio holds values that are not finite")
        if not _SESSION.fullmatch(self.session):
            raise ValueError(f"session {self.session!r} does not match {_SESSION.pattern}")
        if not math.isfinite(self.woken_unix_s) or self.woken_unix_s < 0.0:
            raise ValueError(f"wake time {self.woken_unix_s} is before 1970 or not finite")
        if self.person is not None and not (self.person and self.person.isprintable()):
            raise ValueError("person must be printable and not empty")
        own = self.audio.copy()
        own.flags.writeable = False
        object.__setattr__(self, "audio", own)

    @property
    def woken(self) -> datetime:
        """When the wake word was heard, UTC."""
        return datetime.fromtimestamp(self.woken_unix_s, UTC)

    def metadata(self) -> dict[str, object]:
        """Everything but the audio, as JSON values. Of each check the outcome and the score."""
        return {
            **({} if self.text is None else {"text": self.text}),
            "version": 1,
            "session": self.session,
            "device": self.device,
            "place": self.place,
            "woken": self.woken.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "duration_s": round(self.audio.size / RATE_HZ, 4),
            "rate_hz": RATE_HZ,
            "person": self.person,
            "uncovered_s": [[round(a, 3), round(b, 3)] for a, b in self.uncovered_s],
            "verdict": self.verdict.decision.value,
            "reason": self.verdict.reason.value,
            "checks": {
                finding.check: {
                    "outcome": finding.outcome.value,
                    "reason": finding.reason.value,
                    # JSON knows no NaN or infinity; a check that is not required may give one.
                    "score": float(finding.score) if math.isfinite(finding.score) else None,
                }
                for finding in self.verdict.findings
            },
        }

    def json_line(self, **more: object) -> bytes:
        """Return :meth:`metadata` and `more` as one line of UTF-8 JSON, newline included."""
        text = json.dumps({**more, **self.metadata()}, ensure_ascii=False, allow_nan=False)
        return text.encode() + b"\n"

    def wav(self) -> bytes:
        """Return the audio as a WAV file, 16 bits, ``RATE_HZ``; what exceeds [-1, 1] is clipped."""
        file = io.BytesIO()
        soundfile.write(file, self.audio, RATE_HZ, format="WAV", subtype="PCM_16")
        return file.getvalue()
