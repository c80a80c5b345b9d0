"""Training: annotated footage in, weights of a zoo entry out."""
