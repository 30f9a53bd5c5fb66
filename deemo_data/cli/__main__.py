"""Lets `python -m deemo_data.cli` run the command line."""

from deemo_data.cli.app import main

main()
