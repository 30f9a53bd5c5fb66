"""Text: reading pictures, finding names, sentiment."""
