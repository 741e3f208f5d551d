"""The magics, their completion, and `%%probe`."""
