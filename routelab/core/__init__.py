"""Values, events, runs, flows, plans, ports and errors: the ground floor, standard library and NumPy only."""
