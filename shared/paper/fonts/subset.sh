#!/bin/sh
# Cuts the Noto Sans faces down to the scripts a document prints; see README.md for what to install first.
set -eu
from=/usr/share/fonts/truetype/noto
into=$(dirname "$0")

latin=U+0020-007E,U+00A0-024F,U+0259,U+02B9-02BC,U+02C6-02DD,U+0300-036F
greek_cyrillic=U+0370-03FF,U+0400-052F
vietnamese=U+1E00-1EFF
signs=U+2000-2044,U+2060,U+2070,U+2074-2079,U+2080-2089,U+20A0-20C0,U+2113,U+2116,U+2122,U+2190-2193,U+2212,U+25CC,U+FB01-FB02,U+FFFD
sans=$latin,$greek_cyrillic,$vietnamese,$signs
arabic=U+0020,U+00A0,U+0600-06FF,U+0750-077F,U+200C-200F,U+2010-2011,U+25CC,U+FD3E-FD3F,U+FDF2,U+FDFC
hebrew=U+0020,U+00A0,U+0590-05FF,U+200C-200F,U+20AA,U+25CC,U+FB1D-FB4F
devanagari=U+0020,U+00A0,U+0900-097F,U+1CD0-1CFA,U+200C-200D,U+20B9,U+25CC,U+A8E0-A8FF

# The default layout features are the ones shaping needs (joining, conjuncts, marks, kerning). Small capitals,
# stylistic sets and the like stay out: nothing asks for them and their glyphs are half the file.
cut() {
    pyftsubset "$from/$1.ttf" --unicodes="$2" --layout-scripts='*' --no-hinting --notdef-outline \
        --name-IDs=0,1,2,3,4,5,6,13,14 --no-recalc-timestamp --output-file="$into/$1.ttf"
}

# Noto draws a mark for U+200C (zero width non-joiner). Shaping never shows it, and src/shape.rs needs one glyph that
# is empty, so the mark goes.
empty_non_joiner() {
    python3 - "$1" <<'PYTHON'
import sys
from fontTools.ttLib import TTFont
from fontTools.ttLib.tables._g_l_y_f import Glyph

font = TTFont(sys.argv[1], recalcTimestamp=False)
name = font.getBestCmap()[0x200C]
font["glyf"][name] = Glyph()
font["hmtx"][name] = (0, 0)
font.save(sys.argv[1])
PYTHON
}

for weight in Regular Bold; do
    cut "NotoSans-$weight" "$sans"
    cut "NotoSansArabic-$weight" "$arabic"
    empty_non_joiner "$into/NotoSansArabic-$weight.ttf"
    cut "NotoSansHebrew-$weight" "$hebrew"
    cut "NotoSansDevanagari-$weight" "$devanagari"
done
