"""What is fitted in a round, how it is trained, and what is measured of it."""
