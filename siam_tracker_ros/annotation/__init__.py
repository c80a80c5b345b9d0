"""Drawing ground truth by hand: a few key frames, and what lies between them."""
