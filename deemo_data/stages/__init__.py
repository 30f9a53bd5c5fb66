"""Files in, files out: each stage is a frozen dataclass that can be called. Stages know no project."""
