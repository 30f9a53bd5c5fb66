"""Statistics that know nothing of clips or projects: numbers in, numbers out."""
