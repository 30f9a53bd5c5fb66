"""Stages that find something in a clip: body, hands, faces, text, words, speakers, gestures. What they make is private."""
