"""Who computes which batch, and where; the one room that knows plan, engine and store."""
