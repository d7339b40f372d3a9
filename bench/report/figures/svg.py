"""An SVG that matplotlib has written -> one inside a page: colours and letters from
its stylesheet, marks that say what they are."""

import re
from html import escape

# What the page has in another colour in the dark; all others are seen on both.
COLOURS = {"#000000": "front", "#ffffff": "back", "#b0b0b0": "grid",
           "#555555": "soft", "#777777": "quiet", "#444444": "deep",
           "#4d4d4d": "deep", "#0072b2": "jax", "#d55e00": "torch",
           "#00334f": "jax-deep", "#6e3000": "torch-deep"}


def inline(text, stem, label):
    """text: of a file; stem: what its ids begin with, because other figures have
    the same; label: for those who cannot see it."""
    text = text[text.index("<svg"):]
    width = float(re.search(r'width="([\d.]+)pt"', text)[1]) * 96 / 72
    text = re.sub(r'(?s)<svg[^>]*(viewBox="[^"]*")[^>]*>.*?</metadata>', (
        rf'<svg \1 xmlns:xlink="http://www.w3.org/1999/xlink" role="group" '
        rf'tabindex="0" style="width:{width:.0f}px" aria-label="{escape(label)}">'),
        text, count=1)
    text = re.sub(r"(?s)<style.*?</style>", "", text)
    text = re.sub(r'<g id="tell ([^"]*)">', r'<g class="mark" data-tell="\1">', text)
    text = re.sub(r'(?<= id=")|(?<=url\(#)|(?<=href="#)', f"{stem}-", text)
    text = re.sub(r" font-family: [^;\"]*;?| transform=\"rotate\(-0 [^\"]*\"", "", text)
    text = re.sub(r' (?:d|x|y|transform)="[^"]*"', lambda found: re.sub(
        r"(\.\d\d)\d+", r"\1", found[0]), text)
    return re.sub("#[0-9a-f]{6}", lambda found: (
        f"var(--{COLOURS[found[0]]})" if found[0] in COLOURS else found[0]), text)
