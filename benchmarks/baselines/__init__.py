"""What Relevé is held against: limits of the machine, and the plain way; no file here imports the product."""
