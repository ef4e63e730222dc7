#!/usr/bin/env python3
"""Copies rule files with every duration divided, so that hours pass in minutes: quicken.py FACTOR FROM-FOLDER TO-FOLDER

Ranges, offsets, "for" and the promised "fires_within" shrink alike; thresholds, and so the shape of every rule, stay.
"""

import pathlib
import re
import sys

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
DURATION = r"((?:\d+[smhd])+)"
# Not in names such as otp:calls:rate5m, which are only names.
PLACES = (rf"(\[){DURATION}(\])", rf"(\boffset ){DURATION}(\b)", rf"(\bfor: ){DURATION}(\b)", rf"(\bfires_within: ){DURATION}(\b)")


def seconds(duration):
    return sum(int(number) * SECONDS[unit] for number, unit in re.findall(r"(\d+)([smhd])", duration))


def quicken(text, factor):
    for place in PLACES:
        text = re.sub(place, lambda found: f"{found[1]}{max(1, round(seconds(found[2]) * 1000 / factor))}ms{found[3]}", text)
    return text


def copy(factor, source, target):
    target.mkdir(parents=True, exist_ok=True)
    for file in source.glob("*.yaml"):
        (target / file.name).write_text(quicken(file.read_text(encoding="utf-8"), factor), encoding="utf-8")


if __name__ == "__main__":
    copy(int(sys.argv[1]), pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]))
