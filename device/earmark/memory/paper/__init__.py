"""The detector of Guo et al. 2023 ("Towards the universal defense for query-based audio
adversarial attacks on speech recognition system"), as far as its text goes.
"""

from earmark.memory.paper.detector import CARRIERS, PaperDetector, PaperReport
from earmark.memory.paper.fingerprint import PaperFingerprint, cosine, cosines, fingerprint
from earmark.memory.paper.noise import with_input_noise
from earmark.memory.paper.settings import PaperSettings, Weighting
from earmark.memory.paper.weights import scores, weights

__all__ = [
    "CARRIERS",
    "PaperDetector",
    "PaperFingerprint",
    "PaperReport",
    "PaperSettings",
    "Weighting",
    "cosine",
    "cosines",
    "fingerprint",
    "scores",
    "weights",
    "with_input_noise",
]
