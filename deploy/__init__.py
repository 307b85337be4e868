"""How Relevé is run: the local launcher, the image, what the servers are given; no service imports any of it."""
