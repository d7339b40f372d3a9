"""The figures, in one style. In: what bench/analyse found. Out: a PNG and an
SVG of each entry of registry.py that this comparison has something for."""
