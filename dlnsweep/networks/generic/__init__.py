"""Any network: what a researcher writes in pure functions, trained by value-and-grad."""
