"""Token monitor: what every type of query uses, which templates use far more than they need, and what inside them is waste."""
