"""What runs a network: PyTorch, or an inference engine that was given the network as graphs."""
