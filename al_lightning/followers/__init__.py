"""The further processes of a run that has several devices: rank 0 has the loop, and they do what it tells them."""
