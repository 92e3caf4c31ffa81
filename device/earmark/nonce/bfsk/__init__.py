"""The faithful waveform: BFSK with frequency hopping, as AEOLUS describes it."""

from earmark.nonce.bfsk.carrier import BfskCarrier
from earmark.nonce.bfsk.receiver import verify
from earmark.nonce.bfsk.stale import Candidate, Hit, search
from earmark.nonce.bfsk.waveform import Bfsk, Nonce, entropy_bytes

__all__ = ["Bfsk", "BfskCarrier", "Candidate", "Hit", "Nonce", "entropy_bytes", "search", "verify"]
