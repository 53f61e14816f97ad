"""Features of every image by a frozen network, computed once and kept on disk."""
