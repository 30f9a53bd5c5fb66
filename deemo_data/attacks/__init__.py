"""Attacks on what was made: who can still be told apart, by whom, and how sure the figure is."""
