"""The learner beside people who label: it refits a head as answers come, and nobody waits for it."""
