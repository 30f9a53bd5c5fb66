"""Stages that find things: bodies, faces, text, words, speakers."""
