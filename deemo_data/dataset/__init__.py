"""The dataset folder: records, tables, documents, checks, conversions."""
