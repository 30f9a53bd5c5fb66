"""`deemo evaluate`: scores baselines, a trained model and predictions, runs the checks, and writes the report."""
