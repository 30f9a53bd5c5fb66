"""Order, store, workers, cluster, and the loop that runs stages."""
