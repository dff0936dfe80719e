"""The runs of one batch are trained: arrays in, arrays out; no file is written."""
