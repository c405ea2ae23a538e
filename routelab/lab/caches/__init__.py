"""Benches of semantic caches: labelled pairs, thresholds that a bound on false hits allows, and traffic."""
