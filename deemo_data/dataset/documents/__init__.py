"""The texts of a dataset: card, datasheet, Croissant."""
