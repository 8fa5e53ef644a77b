"""Unpacks the Latin subset of @fontsource/newsreader (npm, 5.3.0) into TrueType files of one family.

    npm pack @fontsource/newsreader@5.3.0 && tar xzf fontsource-newsreader-5.3.0.tgz
    pip install fonttools brotli && python make.py package/files
"""

import sys
from pathlib import Path

from fontTools.ttLib import TTFont

for weight, name in ((400, "Regular"), (600, "SemiBold")):
    font = TTFont(Path(sys.argv[1]) / f"newsreader-latin-{weight}-normal.woff2")
    font.flavor = None
    # The package names each weight a family of its own.
    names = font["name"]
    names.names = [entry for entry in names.names if entry.nameID not in (1, 2, 4, 16, 17)]
    style = "Regular" if weight == 400 else "Bold"
    for id, text in ((1, "Newsreader"), (2, style), (4, f"Newsreader {name}"), (16, "Newsreader"), (17, name)):
        names.setName(text, id, 3, 1, 0x409)
    font.save(f"newsreader-{weight}.ttf")
