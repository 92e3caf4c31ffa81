"""What an attacker does to a recorded command, with its old nonce in it, before he replays it."""

from earmark_host.nonce.attacks.loot import Attack, Loot, MissingLootError
from earmark_host.nonce.attacks.registry import ATTACKS

__all__ = ["ATTACKS", "Attack", "Loot", "MissingLootError"]
