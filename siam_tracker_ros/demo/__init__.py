"""What a run of the demo shows: measured from its bag, drawn, and put on one page."""
