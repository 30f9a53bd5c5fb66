"""Scores of a model's answers: recognition (metrics.py), overlap of reasons (overlap.py), a judge (judge.py)."""
