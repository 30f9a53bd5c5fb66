"""The one folder that imports model runtimes: one file per third-party model, weights pinned in weights.toml."""
