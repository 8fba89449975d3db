"""Formulas as MathML, which browsers draw by themselves: nothing is fetched, and pages work without a network."""

import re

from docutils import nodes
from docutils.utils.math import latex2mathml, pick_math_environment
from sphinx.application import Sphinx

UNKNOWN = {r"\dots": r"\ldots", r"\bigl": "", r"\bigr": "", r"\big": ""}
"""What the converter of docutils does not know, and what says the same."""
COMBINED = {"˙": "\u0307", "¨": "\u0308"}
DOT = re.compile(r"<mover[^>]*>\s*<mi>(\w)</mi>\s*<mo[^>]*>([˙¨])</mo>\s*</mover>")


def as_mathml(text: str, block: bool = False) -> str:
    """A formula of LaTeX as MathML."""
    text = re.sub(r"\\mathrel\{(.)\}", r"\1", text)
    text = re.sub(r"\\(dots|bigl|bigr|big)(?![a-zA-Z])", lambda found: UNKNOWN[found[0]], text)
    if block:
        environment = pick_math_environment(text)
        if environment.startswith("align"):
            text = rf"\begin{{aligned}}{text}\end{{aligned}}"
    return DOT.sub(_dotted, latex2mathml.tex2mathml(text, as_block=block))


def _dotted(found: re.Match) -> str:
    """A letter with its dots as one character, for browsers set a dot of its own into the letter."""
    return f'<mi style="font-style: italic">{found[1]}{COMBINED[found[2]]}</mi>'


def inline(translator, node: nodes.Element) -> None:
    translator.body.append(as_mathml(node.astext()))
    raise nodes.SkipNode


def block(translator, node: nodes.Element) -> None:
    translator.body.append(f'<div class="math">{as_mathml(node.astext(), block=True)}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
