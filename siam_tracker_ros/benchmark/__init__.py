"""How fast the trackers are on this machine, alone or beside PySOT's own code."""
