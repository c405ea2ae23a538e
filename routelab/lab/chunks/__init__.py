"""Chunking and retrieval measured on questions whose answers are known as stretches of the sources."""
