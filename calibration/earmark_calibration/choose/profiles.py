"""What each profile asks of the nonce."""

from __future__ import annotations

from dataclasses import dataclass

from earmark_calibration.record import Profile


@dataclass(frozen=True)
class Aim:
    """What a choice must reach, and what it may cost.

    Parameters
    ----------
    least_detection : share of replayed recordings whose old nonce must be found, over recorders
        beside the mouth, beside the device and in between alike.
    most_false_rejects : share of live commands that may be refused because of the nonce.
    cap_dbspl_1m : the nonce is never louder, dB SPL at 1 m, whatever is not reached.
    min_covered_s : least time of a command that its nonce must cover, s.
    most_false_accepts : probability by which a wrong nonce may be taken for the current one, at
        one place in the recording.
    far_target : share of strangers that may be taken for somebody at home.
    """

    least_detection: float
    most_false_rejects: float
    cap_dbspl_1m: float
    min_covered_s: float
    most_false_accepts: float
    far_target: float


AIMS = {
    Profile.QUIET: Aim(0.80, 0.02, 40.0, 0.0, 1e-5, 0.01),
    Profile.NORMAL: Aim(0.95, 0.02, 47.0, 0.0, 1e-5, 0.01),
    Profile.PAYMENT: Aim(0.98, 0.05, 55.0, 1.0, 1e-9, 0.005),
}
"""quiet: four of five replays, never above a quiet room by day (40 dB SPL). normal: 19 of 20 up
to 13 dB under a voice. payment: what 100 trials can show, up to 5 dB under a voice; single words,
of which a replay holds too little nonce, are asked for again (``nonce.min_covered_s``); every bit
must be right (2.3e-10); and half as many strangers, the least that a cohort of 200 can show."""
