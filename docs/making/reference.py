"""The reference: a page for each folder of the package, from what it exports, so that a new one appears by itself."""

import functools
import importlib
import inspect
import pkgutil
import re
import sys
from collections.abc import Iterator
from types import ModuleType

from docutils import nodes
from sphinx.application import Sphinx

import torchdyn_neuro as tdn

from . import MADE, title, write

QUANTITY = re.compile(r"float \| ~?(torch\.)?Tensor \| ~?(torchdyn_neuro\.core\.constrained\.)?Learned")


def folders() -> Iterator[ModuleType]:
    """The folders of the package that export something."""
    for found in sorted(pkgutil.iter_modules(tdn.__path__), key=lambda found: found.name):
        if found.ispkg:
            module = importlib.import_module(f"torchdyn_neuro.{found.name}")
            if getattr(module, "__all__", None):
                yield module


@functools.cache
def exports(folder: ModuleType) -> dict[str, object]:
    """What a folder exports, by the shortest name under which a user finds it, folders inside it included.

    What comes from another folder that exports it as well is left to that one.
    """
    found = {}
    for name in folder.__all__:
        value = getattr(folder, name)
        home = ".".join(getattr(value, "__module__", folder.__name__).split(".")[:2])
        if home != folder.__name__ and name in getattr(sys.modules.get(home), "__all__", ()):
            continue
        short = f"torchdyn_neuro.{name}" if getattr(tdn, name, None) is value else f"{folder.__name__}.{name}"
        found[short] = value
    for inner in pkgutil.iter_modules(folder.__path__):
        module = importlib.import_module(f"{folder.__name__}.{inner.name}") if inner.ispkg else None
        for name in getattr(module, "__all__", ()):
            value = getattr(module, name)
            if not any(value is known for known in found.values()):
                short = folder if getattr(folder, name, None) is value else module
                found[f"{short.__name__}.{name}"] = value
    return found


def everything() -> dict[str, object]:
    """All public names, and what they stand for."""
    return {name: value for folder in folders() for name, value in exports(folder).items()}


def entry(name: str, value: object) -> str:
    """What autodoc is told of one name."""
    _module, _, short = name.rpartition(".")
    if inspect.isclass(value):
        # A named tuple's fields are said in its docstring; the inherited members are those of torch and Python.
        members = "" if issubclass(value, (tuple, dict)) else "   :members:\n"
        return f".. autoclass:: {short}\n{members}\n"
    kind = "autofunction" if callable(value) and hasattr(value, "__name__") else "autodata"
    return f".. {kind}:: {short}\n\n"


def is_last(item: tuple[str, object]) -> tuple[bool, str]:
    """States and constants stand behind what they belong to."""
    name, value = item
    rank = inspect.isclass(value) and not issubclass(value, (tuple, dict))
    return not (rank or inspect.isfunction(value)), name.rpartition(".")[2].lower()


def summary(value: object) -> str:
    """The first sentence of a docstring."""
    text = inspect.cleandoc(getattr(value, "__doc__", None) or "")
    return escaped(re.split(r"(?<=\.)\s|\n\n", text)[0].replace("\n", " "))


def page(folder: ModuleType) -> str:
    """The page of a folder."""
    text = title(folder.__name__.replace("torchdyn_neuro", "tdn")) + inspect.cleandoc(folder.__doc__ or "") + "\n\n"
    place = None
    for name, value in sorted(exports(folder).items(), key=is_last):
        if place != (place := name.rpartition(".")[0]):
            text += f".. currentmodule:: {place}\n\n"
        text += entry(name, value)
    return text


def make() -> None:
    """Write all pages."""
    pages = {folder.__name__.partition(".")[2]: folder for folder in folders()}
    for name, folder in pages.items():
        write(MADE / f"reference/{name}.rst", page(folder))
    contents = "".join(f"   {name}\n" for name in pages)
    rows = "".join(
        f"   * - :doc:`tdn.{name} <{name}>`\n     - {summary(folder)}\n     - {len(exports(folder))}\n"
        for name, folder in pages.items()
    )
    text = title("Reference") + (
        "All that the package exports, from its docstrings. What needs torch only has its name in ``tdn`` itself "
        "(``import torchdyn_neuro as tdn``); the rest is found in the folder that its heading names.\n\n"
        ".. list-table::\n   :header-rows: 1\n   :widths: 25 65 10\n\n"
        "   * - folder\n     - what is there\n     - names\n"
        f"{rows}\n.. toctree::\n   :hidden:\n\n{contents}"
    )
    write(MADE / "reference/index.rst", text)


STARS = re.compile(r"(?<![\\*\w])(\*{1,2})(?=[\]),]|\w+[\]),: ](?![^*]*\*))")
"""Of a shape, ``[B, *]`` or ``[T, *shape]``, or of arguments, ``**options``."""
BARS = re.compile(r"(?<=[ (])\|(\w+)\|")


def as_markup(value: object, lines: list[str]) -> list[str]:
    """Lines of a docstring as the markup wants them: stars of shapes that emphasise nothing, a list of fields."""
    fields = set(getattr(value, "_fields", ()) or (value.__annotations__ if _is_typed(value) else ()))
    done, inside, formula = [], False, False
    for line in lines:
        formula = line.lstrip().startswith(".. math::") or (formula and (not line or line.startswith("    ")))
        line = line.replace("Source: ", "**Source.** ", 1) if line.startswith("Source: ") else line
        named = re.match(r"((?:\w+, )*\w+): ", line)
        if named and set(named[1].split(", ")) & fields:
            if not inside:
                done.append("")
            line, inside = f"- **{named[1]}**: {line[named.end() :]}", True
        elif inside and line.strip():
            line = f"  {line.strip()}"
        done.append(line if formula or line.lstrip().startswith((">>>", "...")) else escaped(line))
    return done


def _is_typed(value: object) -> bool:
    return inspect.isclass(value) and issubclass(value, dict)


def escaped(line: str) -> str:
    """A line of prose; what stands in literals and formulas stays as it is."""
    parts = re.split(r"(``.*?``|:\w+:`[^`]*`)", line)
    parts[::2] = [BARS.sub(r"\|\1\|", STARS.sub(lambda f: f[1].replace("*", r"\*"), part)) for part in parts[::2]]
    return "".join(parts)


def docstring(app: Sphinx, what: str, name: str, value: object, options: object, lines: list[str]) -> None:
    lines[:] = as_markup(value, lines)


def signature(
    app: Sphinx, what: str, name: str, value: object, options: object, given: str | None, back: str | None
) -> tuple[str | None, ...]:
    """Signatures name a quantity as the sources do."""
    return tuple(None if text is None else QUANTITY.sub("Quantity", text) for text in (given, back))


def missing(app: Sphinx, environment, node: nodes.Element, content: nodes.Element) -> nodes.Element | None:
    """A class that a docstring names as if it stood beside it: the public one of that name, if there is one."""
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"].rpartition(".torchdyn_neuro")[2]
    objects = environment.domaindata["py"]["objects"]
    end = "." + ".".join(target.split(".")[-2:] if node["reftype"] in ("meth", "attr") else target.split(".")[-1:])
    found = sorted((name for name in objects if name.endswith(end)), key=len)
    if not found or "torch." in target.replace("torchdyn", ""):
        return None
    place = objects[found[0]]
    link = nodes.reference("", "", internal=True, reftitle=found[0])
    link["refuri"] = (
        app.builder.get_relative_uri(environment.current_document.docname, place.docname) + f"#{place.node_id}"
    )
    link.append(content)
    return link


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("autodoc-process-docstring", docstring)
    app.connect("autodoc-process-signature", signature)
    app.connect("missing-reference", missing)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
