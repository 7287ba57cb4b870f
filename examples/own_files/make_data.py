"""Paints pictures into the inbox.

    python make_data.py                 40 pictures
    python make_data.py --files 9

The same ones each time.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

from PIL import Image, ImageDraw

HERE = Path(__file__).resolve().parent
SIZES = [(640, 480), (480, 640), (800, 400)]


def main() -> None:
    """Paint by dice that fall the same way each time."""
    ask = argparse.ArgumentParser(description="Paints pictures into the inbox.")
    ask.add_argument("--files", type=int, default=40, help="how many pictures; default: 40")
    wanted = ask.parse_args()

    dice = random.Random(7)  # noqa: S311 - the same pictures each time, no secret
    (HERE / "inbox").mkdir(exist_ok=True)
    for number in range(1, wanted.files + 1):
        ending = "jpg" if number % 3 == 0 else "png"
        paint(dice, SIZES[number % len(SIZES)]).save(HERE / "inbox" / f"picture-{number:03}.{ending}")
    print(f"{wanted.files} pictures: {HERE / 'inbox'}")


def paint(dice: random.Random, size: tuple[int, int]) -> Image.Image:
    """Twelve discs in colours of chance."""
    image = Image.new("RGB", size, "white")
    canvas = ImageDraw.Draw(image)
    for _ in range(12):
        x, y, radius = dice.randrange(size[0]), dice.randrange(size[1]), dice.randrange(20, 120)
        colour = (dice.randrange(256), dice.randrange(256), dice.randrange(256))
        canvas.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    return image


if __name__ == "__main__":
    main()
