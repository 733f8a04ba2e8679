"""Folders as model hubs want them: weights or clips, a card, and what reads them elsewhere."""
