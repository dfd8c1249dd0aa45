"""How well it works: metrics and evaluations."""
