"""Time jumps: many steps of gradient descent at the price of a few hundred gradients."""
