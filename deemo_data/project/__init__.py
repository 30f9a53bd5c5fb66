"""A project folder: its configuration, corrections, and the one door out."""
