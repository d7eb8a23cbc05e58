"""From records to what they show of each contender."""
