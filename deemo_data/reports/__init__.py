"""A JSON report in, one self-contained HTML page out."""
