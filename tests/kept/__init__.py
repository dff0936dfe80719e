"""What the kept texts say, statement by statement: see text.py."""
