"""Drives JupyterLab and Notebook 7 in a real browser, for tests, benchmarks and pictures."""
