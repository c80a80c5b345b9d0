"""Pictures of the networks: how they are built, and what they respond to."""
