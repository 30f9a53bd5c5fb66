"""Interview footage in, de-identified emotion dataset out."""

__version__ = "0.1.0"
