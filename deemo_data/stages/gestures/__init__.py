"""The rules by which body language is proposed."""
