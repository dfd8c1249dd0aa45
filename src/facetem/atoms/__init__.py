"""Specimens: labelled nanoparticles, carbon films, and both together."""
