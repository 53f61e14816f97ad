"""Images in memory, the masks over them, and the batches made from them."""
