"""The two ways to change a voice."""
