"""Soft masks as they are stored: 255 * probability, rounded."""

# Above this, of 255, a pixel is more likely inside than outside: the same as logit > 0.
MASK_THRESHOLD = 127
