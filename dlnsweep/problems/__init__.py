"""The problems: one file each, with its settings (which are its keys) and how its data is drawn."""
