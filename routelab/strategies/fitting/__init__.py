"""What strategies learn from outcomes, examples and logs, and how: one file a thing that is learned, none of them a kind of strategy."""
