"""From options to a finished run: requests, sessions, runs, replay, the agent's client."""
