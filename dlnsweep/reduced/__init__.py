"""The reduced way of descent: bases found, truncated, rehearsed, trained in."""
