"""The standard figure: a person's movements on a body of everybody's proportions.

Read in this order: `standard` (lengths and places of the figure), `stance` (one person's track, level and measured), `places`
(the parts of the body that hands go to), `hands` (where the hands lie on the figure), `depth` (z of a bone from how short it
looks), `retarget` (all of it together). The stage that uses it is `stages/deidentify/publish_body.py`.
"""
