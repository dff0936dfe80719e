"""Networks whose first layer is linear in the inputs, trained on the span of their samples."""
