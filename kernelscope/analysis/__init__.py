"""DataFrame in, DataFrame out: percentiles, top, rates, joins, resampling."""
