"""Writes support tickets into the inbox, and what they are about into `truth.csv`.

    python make_data.py                 150 tickets
    python make_data.py --files 20

Nothing is trained: the model is a list of words for each topic, `model/topics.json`.
"""

from __future__ import annotations

import argparse
import csv
import random
from pathlib import Path

HERE = Path(__file__).resolve().parent
GREETINGS = ["Hello,", "Hi there,", "Good morning,", "To whom it may concern,"]
COMPLAINTS = {
    "delivery": [
        "my parcel has not arrived. The tracking page still says that it was shipped on Monday.",
        "the courier left my package on the doorstep of another address.",
        "the driver rang nobody's bell, and now the delivery is a week late.",
    ],
    "payment": [
        "I was charged twice: my bank shows the same payment on two days.",
        "the invoice has no VAT on it, and I need a receipt that does.",
        "where is my refund? I paid by card and the money is not back.",
    ],
    "account": [
        "I can't sign in: the password reset never reaches my email.",
        "my account is locked, and the verification code is said to be old.",
        "which username did I choose? The login page doesn't know my email.",
    ],
    "returns": [
        "the shoes are the wrong size. Can I exchange them?",
        "the lamp came damaged, and I would like a replacement.",
        "this is the wrong colour. Please send a label, so that I can return it.",
    ],
}
CLOSINGS = ["Thanks!", "Kind regards, a customer", "I am waiting for your answer.", ""]


def main() -> None:
    """Choose by dice that fall the same way each time."""
    ask = argparse.ArgumentParser(description="Writes support tickets into the inbox.")
    ask.add_argument("--files", type=int, default=150, help="how many tickets; default: 150")
    wanted = ask.parse_args()

    dice = random.Random(7)  # noqa: S311 - the same tickets each time, no secret
    (HERE / "inbox").mkdir(exist_ok=True)
    with (HERE / "truth.csv").open("w", newline="", encoding="utf-8") as truth_file:
        truth = csv.writer(truth_file)
        truth.writerow(["file", "topic"])
        for number in range(1, wanted.files + 1):
            topic = dice.choice(sorted(COMPLAINTS))
            words = [dice.choice(GREETINGS), dice.choice(COMPLAINTS[topic]), dice.choice(CLOSINGS)]
            name = f"ticket-{number:04}.txt"
            (HERE / "inbox" / name).write_text("\n".join(words), encoding="utf-8")
            truth.writerow([name, topic])
    print(f"{wanted.files} tickets: {HERE / 'inbox'}")


if __name__ == "__main__":
    main()
