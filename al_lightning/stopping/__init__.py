"""When enough has been labeled, and whether choosing has paid."""
