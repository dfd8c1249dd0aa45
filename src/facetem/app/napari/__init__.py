"""A plugin for napari: opens micrographs with their scale, analyses them, shows particles as labels and as a table."""
