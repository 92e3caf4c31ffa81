"""Earmark: a smart speaker's command is forwarded only when it is fresh and its speaker known."""

__version__ = "0.1.0"
