"""The stages' order, the store of their results, worker processes, a Ray cluster, and the loop that runs stages on clips."""
