"""The acoustic nonce: made, played, found again, taken out; and the search for old ones.

Implements AEOLUS (Zhang et al., "Practical Speech Re-use Prevention in Voice-driven
Services", RAID 2021), as far as its text goes: BFSK with frequency hopping.
"""

from earmark.nonce.cancel import Cleaned, LiveCanceller, clean
from earmark.nonce.ledger import Issue, Ledger
from earmark.nonce.ledger_settings import LedgerSettings
from earmark.nonce.player import NoncePlayer
from earmark.nonce.recall import StaleReport, recall
from earmark.nonce.settings import NonceSettings
from earmark.nonce.verify import Report, verify
from earmark.nonce.waveform import Bfsk, Nonce, entropy_bytes

__all__ = [
    "Bfsk",
    "Cleaned",
    "Issue",
    "Ledger",
    "LedgerSettings",
    "LiveCanceller",
    "Nonce",
    "NoncePlayer",
    "NonceSettings",
    "Report",
    "StaleReport",
    "clean",
    "entropy_bytes",
    "recall",
    "verify",
]
