"""Arguments of classes and functions, read from their source: nothing is imported, as PyTorch would be for seconds.

What the source does not tell plainly, such as an annotation by a name of the module's own, takes everything; a class
whose arguments come from elsewhere is not known here. Whoever builds the class has the last word.
"""

import ast
import collections.abc
import inspect
import pathlib
import sys
import typing
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

PLAIN = {kind.__name__: kind for kind in (bool, int, float, str, list, tuple, dict, set, object)}
KNOWN = {"typing": typing, "collections.abc": collections.abc, "pathlib": pathlib}  # modules whose names are resolved
OBJECTS = {"Tensor": type("Tensor", (), {})}  # imported names of what no plain value is
DEEPEST = 5  # modules through which a name is followed


def signature_of(target: str) -> inspect.Signature | None:
    """Read what a class or function takes; None where that is not plain.

    Args:
        target: Dotted path, such as torch.optim.AdamW.

    Returns:
        Its arguments, without self. An annotation that is not plain is Any; so is that of an argument whose default is
        not plain.
    """
    with suppress(OSError, SyntaxError, ValueError, RecursionError):
        found = _definition(*_parted(target))
        if found is not None:
            return _signature(*found)
    return None


def _parted(target: str) -> tuple[str, str]:
    module, _, name = target.rpartition(".")
    return module, name


def _file(module: str) -> Path | None:
    """Source of a module: nothing above it is imported, which ``importlib.util.find_spec`` does for dots."""
    first, *others = module.split(".")
    loaded = sys.modules.get(first)
    spec = PathFinder.find_spec(first) if loaded is None else getattr(loaded, "__spec__", None)
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin)
    for name in others:
        inner = path.parent / name
        path = inner / "__init__.py" if inner.is_dir() else inner.with_suffix(".py")
    return path if path.is_file() and path.suffix == ".py" else None


def _definition(module: str, name: str, depth: int = 0) -> tuple[ast.stmt, ast.Module, str] | None:
    """Where a class or function is defined, followed through the modules that hand it on."""
    path = _file(module)
    if path is None or depth > DEEPEST:
        return None
    # A package that imports on first use has a stub beside it that says from where.
    for file in (path, path.with_suffix(".pyi")):
        tree = ast.parse(file.read_text(encoding="utf-8")) if file.is_file() else ast.Module([], [])
        for node in reversed(tree.body):  # the last of a name counts, as behind overloads
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
                return node, tree, module
            if isinstance(node, ast.ImportFrom) and (origin := _origin(node, name, module, path)):
                return _definition(*origin, depth + 1)
    return None


def _origin(node: ast.ImportFrom, name: str, module: str, path: Path) -> tuple[str, str] | None:
    """Module and name that an import gives a name; None = another name."""
    inner = next((alias.name for alias in node.names if (alias.asname or alias.name) == name), None)
    if inner is None:
        return None
    if not node.level:
        return str(node.module), inner
    above = node.level - (path.stem == "__init__")
    start = module.split(".")
    return ".".join([*start[: len(start) - above], *filter(None, [node.module])]), inner


def _signature(node: ast.stmt, tree: ast.Module, module: str) -> inspect.Signature | None:
    if isinstance(node, ast.FunctionDef):
        return _of_function(node, _names(tree))
    assert isinstance(node, ast.ClassDef)
    made = [item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__init__"]
    if made:
        return _of_function(made[-1], _names(tree), skip=1)
    if any("dataclass" in ast.unparse(word) for word in node.decorator_list):
        return None if node.bases else inspect.Signature(list(_fields(node, _names(tree))))
    bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
    found = _definition(module, bases[0], 1) if len(bases) == len(node.bases) == 1 else None
    return None if found is None else _signature(*found)


def _names(tree: ast.Module) -> dict[str, Any]:
    """What annotations of a module may name."""
    names: dict[str, Any] = dict(PLAIN)
    for node in tree.body:
        known = KNOWN.get(node.module or "") if isinstance(node, ast.ImportFrom) else None
        for alias in node.names if isinstance(node, ast.ImportFrom) and known else ():
            names[alias.asname or alias.name] = getattr(known, alias.name, None)
        if isinstance(node, ast.ImportFrom):
            names |= {alias.name: OBJECTS[alias.name] for alias in node.names if alias.name in OBJECTS}
        if isinstance(node, ast.ClassDef):
            names.pop(node.name, None)
    return names


def _of_function(node: ast.FunctionDef, names: Mapping[str, Any], skip: int = 0) -> inspect.Signature:
    given = node.args
    plain = [*given.posonlyargs, *given.args]
    defaults: Sequence[ast.expr | None] = [*[None] * (len(plain) - len(given.defaults)), *given.defaults]
    found = [
        *(_parameter(one, default, names) for one, default in zip(plain, defaults, strict=True)),
        *(
            _parameter(one, default, names, inspect.Parameter.KEYWORD_ONLY)
            for one, default in zip(given.kwonlyargs, given.kw_defaults, strict=True)
        ),
        *([inspect.Parameter(given.kwarg.arg, inspect.Parameter.VAR_KEYWORD)] if given.kwarg else []),
    ]
    return inspect.Signature(found[skip:])


def _fields(node: ast.ClassDef, names: Mapping[str, Any]) -> Iterator[inspect.Parameter]:
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            yield _parameter(ast.arg(item.target.id, item.annotation), item.value, names)


def _parameter(
    node: ast.arg,
    default: ast.expr | None,
    names: Mapping[str, Any],
    kind: Any = inspect.Parameter.POSITIONAL_OR_KEYWORD,
) -> inspect.Parameter:
    hint: Any = Any
    value: Any = inspect.Parameter.empty
    with suppress(ValueError, KeyError, TypeError):
        value = value if default is None else ast.literal_eval(default)
        hint = Any if node.annotation is None else _hint(node.annotation, names)
    if default is not None and value is inspect.Parameter.empty:
        value = ...
    return inspect.Parameter(node.arg, kind, default=value, annotation=hint)


def _hint(node: ast.expr, names: Mapping[str, Any]) -> Any:
    """Annotation that plain names stand for; a KeyError of any other name, a ValueError of any other form."""
    match node:
        case ast.Constant(value=None):
            return type(None)
        case ast.Constant(value=str() as text):
            return _hint(ast.parse(text, mode="eval").body, names)
        case ast.Name(id=name):
            return names[name]
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return typing.Union[_hint(left, names), _hint(right, names)]  # noqa: UP007 - of values
        case ast.Subscript(value=ast.Name(id="Literal")):
            return typing.Literal[ast.literal_eval(node.slice)]
        case ast.Subscript(value=outer, slice=ast.Tuple(elts=parts)):
            return _hint(outer, names)[tuple(... if _is_dots(part) else _hint(part, names) for part in parts)]
        case ast.Subscript(value=outer, slice=part):
            return _hint(outer, names)[_hint(part, names)]
    raise ValueError(f"{ast.unparse(node)} is no plain annotation")


def _is_dots(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is ...
