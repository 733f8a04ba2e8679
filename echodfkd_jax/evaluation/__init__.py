"""How good masks are, and how far sets of clips are apart; numpy, but for `features`."""
