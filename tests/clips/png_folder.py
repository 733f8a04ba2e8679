"""Writes PNG files."""

import cv2


def save_pngs(folder, frames, names=None):
    """Writes frames as 0.png, 1.png, ... or under other names, and returns the folder."""
    folder.mkdir(exist_ok=True)
    for index, frame in enumerate(frames):
        cv2.imwrite(str(folder / f"{names[index] if names else index}.png"), frame)
    return folder
