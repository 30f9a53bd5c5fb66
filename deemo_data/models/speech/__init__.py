"""Speech: activity, words, speakers."""
