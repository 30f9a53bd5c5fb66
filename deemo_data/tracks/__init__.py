"""What is known frame by frame (faces, body, hands, pitch, turns), each with its file format."""
