"""The pages and tasks that annotators see."""
