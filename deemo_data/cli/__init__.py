"""The command line. Each command imports what it needs inside its body, so that `deemo --help` loads nothing heavy."""

from deemo_data.cli.app import main

__all__ = ["main"]
