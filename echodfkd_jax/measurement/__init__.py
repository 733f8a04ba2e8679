"""What the masks of one clip say by themselves: beats, volumes, view, how far to trust them."""
