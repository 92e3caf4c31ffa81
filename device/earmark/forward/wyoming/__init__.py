"""Forwarding over Wyoming: to a recogniser, as a satellite of Home Assistant, as a proxy.

The core is pure: bytes to events (`framing`), audio (`sound`, `pauses`), addresses (`address`),
the satellite as a state machine (`machine`), requests and verdicts that meet (`meeting`). Around
it, bounded in memory and time, `connection` and `listener`; `asr`, `satellite` and `proxy` are
the forwarders. They load asyncio and the `wyoming` package, so they are imported when the
settings ask for one.
"""
