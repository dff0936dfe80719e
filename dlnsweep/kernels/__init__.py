"""Ways to carry out gradient descent, written for one run, and how runs are batched."""
