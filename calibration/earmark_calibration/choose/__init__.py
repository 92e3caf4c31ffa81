"""The choice of the nonce's parameters and of the thresholds, predicted and then played."""
