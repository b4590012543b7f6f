"""Everything that touches torch while the user's code runs."""
