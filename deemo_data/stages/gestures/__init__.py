"""Rules that propose body language from a body track.

Read in this order: `scene` (one person's track in units of the body), `signals` (what a rule measures, frame by frame, and the
intervals in which it holds), `touch_rules` and `rules` (the rules), `select` (the best proposals of a clip). `thresholds` holds
the settings. The stage that uses all of it is `stages/detect/propose.py`.
"""
