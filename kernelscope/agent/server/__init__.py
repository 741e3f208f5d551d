"""The root process: requests, forking, policy, and what doctor asks."""
