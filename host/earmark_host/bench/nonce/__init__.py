"""``earmark-host bench nonce``: how far down a nonce is found, and what it takes to remove it."""
