"""Statements about results: claims of the papers, transitions, and the statistics under them."""
