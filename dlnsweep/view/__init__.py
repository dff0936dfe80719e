"""A local page for looking around in results folders; needs the extra `view`."""
