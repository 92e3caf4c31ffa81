"""The default waveform: keyed wideband codes under the speech."""

from earmark.nonce.spread.bank import Bank, Banks
from earmark.nonce.spread.carrier import KIND, SpreadCarrier, waveform
from earmark.nonce.spread.search import Find, Trace, search
from earmark.nonce.spread.shape import CHIPS

__all__ = ["CHIPS", "KIND", "Bank", "Banks", "Find", "SpreadCarrier", "Trace", "search", "waveform"]
