"""How far annotators agree, against chance."""
