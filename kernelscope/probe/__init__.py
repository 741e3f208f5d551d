"""What a probe is: its description, the catalogue, search, and hooks that the user selects."""
