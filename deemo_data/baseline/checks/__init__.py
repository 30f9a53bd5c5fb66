"""Statistical checks of a dataset."""
