"""Labels are data: one vocabulary a file."""
