"""Pages of the site that stand elsewhere in the repository, or follow from it: notebooks, configuration, API."""

import ast
import json
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
LONG = 36  # letters of a word that may break
CONF = ROOT / "conf"
PACKAGE = ROOT / "src" / "segexp"
ELSEWHERE = (
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "benchmarks/README.md",
    "experiments/*/*.*",
    "examples/*/README.md",
    "conf/experiment/*.yaml",
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages under their paths in the repository, docs/ being the root of the site."""
    for pattern in ELSEWHERE:
        for path in sorted(ROOT.glob(pattern)):
            files.append(File.generated(config, str(path.relative_to(ROOT)), abs_src_path=str(path)))
    pages = {"configuration_reference.md": _configuration_page()}
    for path in sorted((ROOT / "docs" / "notebooks").glob("*.ipynb")):
        pages[f"notebooks/{path.stem}.md"] = _notebook_page(path.name, json.loads(path.read_text()))
    for room in sorted(path.parent for path in PACKAGE.glob("*/__init__.py")):
        about = ast.get_docstring(ast.parse((room / "__init__.py").read_text())) or ""
        pages[f"api/{room.name}.md"] = _api_page(f"segexp.{room.name}", about, sorted(room.rglob("*.py")))
    pages["api/segexp.md"] = _api_page("segexp", "Modules outside of any room.", sorted(PACKAGE.glob("*.py")))
    for uri, content in pages.items():
        files.append(File.generated(config, uri, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Adapt links between docs/ and the rest of the repository, where docs/ is a folder, to the site."""
    uri = page.file.src_uri
    if uri.startswith(("first_hour/", "notebooks/")):  # folders below docs/, and of the site
        return markdown
    if uri.startswith(("benchmarks/", "experiments/", "examples/")):
        return re.sub(r"\]\(((?:\.\./)+)docs/", r"](\1", markdown)
    return markdown.replace("](docs/", "](").replace("](../", "](")


def on_page_content(html: str, **_: Any) -> str:
    """Let long words in the cells of tables break, so that they do not push the other columns out of the page."""
    return re.sub(r"<td.*?</td>", lambda cell: _breakable(cell[0]), html, flags=re.DOTALL)


def _breakable(cell: str) -> str:
    """Cell with places to break in the long words of its text: after each mark, and after 24 letters without one."""
    texts = re.split(r"(<[^>]*>)", cell)
    for place in range(0, len(texts), 2):  # tags stand between the texts
        texts[place] = re.sub(
            rf"[^\s]{{{LONG},}}",
            lambda word: re.sub(r"([/_.:,=]+|[^\W_]{24})(?=\w)", r"\1<wbr>", word[0]),
            texts[place],
        )
    return "".join(texts)


def _api_page(name: str, about: str, paths: list[Path]) -> str:
    modules = [
        path.relative_to(PACKAGE.parent).with_suffix("").parts for path in paths if not path.name.startswith("__")
    ]
    return "\n\n".join([f"# {name}", about, *(f"::: {'.'.join(module)}" for module in modules)])


def _notebook_page(name: str, notebook: dict[str, Any]) -> str:
    """Write a notebook as Markdown: code, and below it what was printed and shown."""
    parts = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        for output in cell.get("outputs", []):
            data = output.get("data", {"text/plain": output.get("text", "")})
            if "image/png" in data:
                parts.append(f"![plot](data:image/png;base64,{''.join(data['image/png']).strip()})")
            else:
                text = re.sub(r"\x1b\[[\d;]*m", "", "".join(data["text/plain"]))  # without colors
                parts.append(f"```text\n{text.rstrip()}\n```")
    title, *others = parts
    return "\n\n".join([title, f"The notebook itself: [{name}]({name}).", *others])


def _configuration_page() -> str:
    parts = ["# Configuration", "Every file of `conf/`, as it is shipped. `segexp train group=option` chooses one."]
    for folder in [CONF, *sorted(path for path in CONF.rglob("*") if path.is_dir() and path != CONF / "local")]:
        group = "" if folder == CONF else str(folder.relative_to(CONF))
        parts.append(f"## {group or 'Commands'}")
        for path in sorted(folder.glob("*.yaml")):
            title = f"{group}={path.stem}" if group else path.stem
            parts.append(f"### {title}\n\n```yaml\n{path.read_text()}```")
    return "\n\n".join(parts) + "\n"
