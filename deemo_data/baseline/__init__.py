"""Baselines that check a dataset: whether a model learns from it what it should, and nothing else."""
