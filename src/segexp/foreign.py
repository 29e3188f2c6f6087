"""Text that others wrote, made safe for where it goes: a terminal, a spreadsheet, Markdown, LaTeX.

Names of cases, classes, files and runs, and messages about them, may come from strangers.
"""

import re

LATEX_SPECIAL = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"−": "$-$", "±": r"$\pm$", "×": r"$\times$", "<": r"\textless{}", ">": r"\textgreater{}"}
)
MARKDOWN_SPECIAL = str.maketrans({"[": r"\[", "]": r"\]", "`": r"\`"})
_FORMULA = re.compile(r"'*[=+\-@\t\r]")  # what a spreadsheet would compute, and what was quoted before
_QUOTED = re.compile(r"'+[=+\-@\t\r]")


def printable(text: object, kept: str = "\n\t") -> str:
    """Write out all that a terminal would obey or hide, as JSON does.

    Args:
        text: Text, maybe of others.
        kept: Characters that stay beside the printable ones.
    """
    return "".join(one if one.isprintable() or one in kept else _written_out(one) for one in str(text))


def _written_out(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[place : place + 2].hex()}" for place in range(0, len(units), 2))


def one_line(text: object) -> str:
    """Like ``printable``, with blanks in place of line breaks and tabs."""
    return printable(" ".join(str(text).split()))


def to_cell(value: object) -> object:
    """Quote text that a spreadsheet would take for a formula with ' in front; numbers stay as they are."""
    if not isinstance(value, str) or not _FORMULA.match(value) or is_number(value):
        return value
    return f"'{value}"


def from_cell(text: str) -> str:
    """Take back what ``to_cell`` put in front."""
    return text[1:] if _QUOTED.match(text) else text


def to_markdown(text: str) -> str:
    """Write text as one line of Markdown that holds no HTML, no link and no code."""
    return re.sub(r"<(?=[\w/!?])", "&lt;", one_line(text)).translate(MARKDOWN_SPECIAL)


def to_markdown_cell(text: str) -> str:
    """Like ``to_markdown``, as one cell of a table."""
    return to_markdown(text).replace("|", r"\|")


def to_latex(text: str) -> str:
    """Write text as one cell or line of LaTeX that holds no command."""
    return one_line(text).translate(LATEX_SPECIAL)


def is_number(text: str) -> bool:
    """Whether a text is a number, as Python writes them."""
    try:
        float(text)
    except ValueError:
        return False
    return True
