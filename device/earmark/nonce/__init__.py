"""The acoustic nonce: made, played, found again, taken out; and the search for old ones.

Two waveforms behind one interface (:class:`Carrier`): keyed wideband codes (``spread``, the
default), and the hopping tones of AEOLUS (Zhang et al., "Practical Speech Re-use Prevention
in Voice-driven Services", RAID 2021), as far as its text goes (``bfsk``).
"""

from earmark.nonce.bfsk import Bfsk, BfskCarrier, Nonce, entropy_bytes
from earmark.nonce.cancel import Cleaned, LiveCanceller, clean
from earmark.nonce.carrier import Carrier
from earmark.nonce.keyring import KeyRing
from earmark.nonce.keys_settings import KeysSettings
from earmark.nonce.ledger import Issue, Ledger
from earmark.nonce.ledger_settings import LedgerSettings
from earmark.nonce.player import NoncePlayer
from earmark.nonce.recall import Memory, Playing, StaleReport, recall
from earmark.nonce.report import Report
from earmark.nonce.settings import BfskSettings, NonceSettings, SpreadSettings
from earmark.nonce.source import FixedKeys, Keys, Source
from earmark.nonce.spread import Bank, SpreadCarrier

__all__ = [
    "Bank",
    "Bfsk",
    "BfskCarrier",
    "BfskSettings",
    "Carrier",
    "Cleaned",
    "FixedKeys",
    "Issue",
    "KeyRing",
    "Keys",
    "KeysSettings",
    "Ledger",
    "LedgerSettings",
    "LiveCanceller",
    "Memory",
    "Nonce",
    "NoncePlayer",
    "NonceSettings",
    "Playing",
    "Report",
    "Source",
    "SpreadCarrier",
    "SpreadSettings",
    "StaleReport",
    "clean",
    "entropy_bytes",
    "recall",
]
