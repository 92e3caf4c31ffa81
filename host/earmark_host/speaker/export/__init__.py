"""From a trained network to the files that a device loads, and those files under attack."""
