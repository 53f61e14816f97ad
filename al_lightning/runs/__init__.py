"""What a run leaves on disk, how it is read again, and what goes on from it."""
