"""The loopback page where the data owner corrects masks."""
