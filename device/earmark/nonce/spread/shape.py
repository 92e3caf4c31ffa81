"""The sizes that all of the spread nonce agrees on."""

from __future__ import annotations

from earmark.nonce.settings import SPREAD_SLOT_S
from earmark.signal import RATE_HZ

CODES = 16
"""Codes of a bank: a slot carries 4 bits. The search costs one pass for each."""

CHIPS = round(SPREAD_SLOT_S * RATE_HZ)
"""Length of a code, samples: slots of 256 ms. A clock that is off by 300 ppm slips half a period
of 6 kHz in it; longer ones would have to be searched for clock by clock."""

TAPS = 257
"""Length of the band filter, samples: 16 ms, edges 200 Hz wide."""

TAIL = TAPS - 1
"""Samples that a code rings on into the next slot."""

PIECES = 2
"""A code is searched for in so many pieces, whose evidence is added up. In halves, clocks may
differ by 300 ppm and frequencies by 3 Hz without a search for either (loss below 1 dB)."""

PIECE = CHIPS // PIECES
"""Length of a piece, samples."""
