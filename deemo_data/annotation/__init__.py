"""The annotation loop: push to Label Studio, pull labels back."""
