"""What the networks see of an image: a square of so many pixels of one size, wherever images are drawn, cut out or
resampled for them."""

PIXEL = 0.4  # Å/px
FIELD = 256  # px: the classifier's side
