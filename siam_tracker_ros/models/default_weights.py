"""Which weights are taken where none are named."""

DEFAULT_WEIGHTS = "siammask_mobilev2_w10_l23"
"""A name in the weight folders (`models.weights`): boxes and masks, the fastest of those shipped."""
