"""From a micrograph to a table of particles."""
