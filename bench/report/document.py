"""A page in one file: no font, script or picture from elsewhere."""

from pathlib import Path

TEMPLATES = Path(__file__).resolve().with_name("templates")


def document(title, style, first, body, script):
    """HTML of a page. style: name of its own stylesheet; first: (address,
    text) of the link that skips what stands before the content."""
    sheets = "".join((TEMPLATES / f"{name}.css").read_text("utf-8")
                     for name in ("page", style))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>
{sheets}</style>
</head>
<body>
<a class="skip" href="{first[0]}">{first[1]}</a>
{body}
<script>{script}</script>
</body>
</html>
"""
