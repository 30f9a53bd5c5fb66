"""Parts of reading a Label Studio task: the video that was shown, the rate of its frames, its regions, what was passed over."""
