"""The labels that people gave, the vocabularies they chose from, and how labels are placed on clips and merged."""
