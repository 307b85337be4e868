"""Speed as ratios: each benchmark runs Relevé, its limit and the plain way in turn, on the same servers, in one run."""
