"""`deemo evaluate`, and what it compares with."""
