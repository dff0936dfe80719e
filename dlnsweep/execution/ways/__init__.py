"""By which way a folder's runs are trained: settled when it is begun, and kept there."""
