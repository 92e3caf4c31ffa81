"""Recognisers under attack: what an attacker wants to fool, and how sure each is of a label."""

from earmark_host.memory.victims.victim import OTHER, Victim

__all__ = ["OTHER", "Victim"]
