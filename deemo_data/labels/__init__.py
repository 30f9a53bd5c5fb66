"""What people said about clips, and how it lies on them."""
