"""Pure functions on tensors: device and dtype follow the inputs, nothing is stored."""
