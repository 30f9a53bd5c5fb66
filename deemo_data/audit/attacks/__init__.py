"""The attackers: who can still be told apart, by whom, and how sure the figure is."""
