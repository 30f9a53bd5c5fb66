"""One stage a file: files in, files out."""
