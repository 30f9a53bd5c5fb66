"""Agreement between annotators, compared with chance. Start at measure.py."""
