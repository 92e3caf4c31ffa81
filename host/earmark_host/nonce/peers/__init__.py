"""Other ways to send 32 bits as sound, to measure the nonce against: each a :class:`Modem`."""

from earmark_host.nonce.peers.ggwave import (
    GGWAVE_FAST,
    GGWAVE_FAST_FIXED,
    GGWAVE_NORMAL,
    GGWAVE_NORMAL_FIXED,
    Ggwave,
    Protocol,
)
from earmark_host.nonce.peers.literal import LITERAL, LITERAL_HOPS, LiteralBfsk
from earmark_host.nonce.peers.minimodem import MINIMODEM_18, MINIMODEM_30, Minimodem
from earmark_host.nonce.peers.modem import PAYLOAD_BYTES, Modem

PEERS: tuple[Modem, ...] = (
    GGWAVE_NORMAL,
    GGWAVE_NORMAL_FIXED,
    GGWAVE_FAST,
    GGWAVE_FAST_FIXED,
    MINIMODEM_18,
    MINIMODEM_30,
    LITERAL,
    LITERAL_HOPS,
)
"""All of them. Those of minimodem need the program of that name."""

__all__ = [
    "GGWAVE_FAST",
    "GGWAVE_FAST_FIXED",
    "GGWAVE_NORMAL",
    "GGWAVE_NORMAL_FIXED",
    "LITERAL",
    "LITERAL_HOPS",
    "MINIMODEM_18",
    "MINIMODEM_30",
    "PAYLOAD_BYTES",
    "PEERS",
    "Ggwave",
    "LiteralBfsk",
    "Minimodem",
    "Modem",
    "Protocol",
]
