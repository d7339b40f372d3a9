"""A page in one file: no font, script or picture from elsewhere."""

import sys
from pathlib import Path
from string import Template

from bench.kit import cli, files

TEMPLATES = Path(__file__).resolve().with_name("templates")


def read(name):
    """Text of a template."""
    return (TEMPLATES / name).read_text("utf-8").strip("\n")


def document(style, **parts):
    """HTML of a page. style: name of its own template, stylesheet and script;
    parts: {name in the template: HTML}."""
    frame = {"sheets": read("page.css") + "\n" + read(f"{style}.css"),
             "body": Template(read(f"{style}.html")).substitute(parts),
             "script": read(f"{style}.js"), "title": parts["title"]}
    return Template(read("frame.html")).substitute(frame) + "\n"


def save(page, path):
    """Write a page where the command line says or, else, at `path`."""
    out = Path(*sys.argv[1:2] or [path])
    files.write_atomic(out, page)
    print(f"page     {out}")
    return cli.OK
