"""Benches of context policies: what a conversation's later requests still know of its facts, and what that costs."""
