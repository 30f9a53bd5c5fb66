"""Statistical checks of a dataset; run.py lists and runs them."""
