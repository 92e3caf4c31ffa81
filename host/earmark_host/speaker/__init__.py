"""The speaker model on the workstation: its network, its training, its attacks, its export."""
