"""A folder of runs over time: what they came out as, their trends, and what may go."""
