"""Write every property of pixels in every format, read it, and put what happened into docs/formats.md.

python -m benchmarks.formats             # writes the tables
python -m benchmarks.formats --print     # leaves the page alone
"""

import argparse
from pathlib import Path

from benchmarks.formats.tables import BEGIN, END, tables

PAGE = Path(__file__).parents[2] / "docs" / "formats.md"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--print", action="store_true", help="leave docs/formats.md alone")
    text = tables()
    if parser.parse_args().print:
        print(text)
        return
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(before + BEGIN + text + END + rest.partition(END)[2])


if __name__ == "__main__":
    main()
