"""Attacks that craft a command query by query, with nothing but the recogniser's scores."""

from earmark_host.memory.attacks.probe import Outcome, Terms
from earmark_host.memory.attacks.registry import ATTACKS, Attack

__all__ = ["ATTACKS", "Attack", "Outcome", "Terms"]
