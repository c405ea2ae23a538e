"""How the lexical guard reads a question and compares two."""
