"""DEEMO-LLaMA, a baseline for checking a dataset: whether a model learns from it what it should, and nothing else."""
