"""Floor 1: constants, grids and structures. Knows nothing of the other rooms."""
