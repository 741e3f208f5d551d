"""Raw frames become DataFrames: records, column kinds, decoding, results."""
