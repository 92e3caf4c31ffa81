"""The nonce, measured on a workstation: attacks on a recording, peers and theory."""
