"""The only package that opens a video or starts a program."""
