"""DEEMO-LLaMA, the trained baseline. Needs torch."""
