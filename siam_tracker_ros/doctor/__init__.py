"""What `siam-tracker doctor` knows: what this machine has, and what will go wrong on it."""
