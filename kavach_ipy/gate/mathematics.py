r"""Mathematics in LaTeX: which of it a page may typeset.

JupyterLab lets MathJax typeset every text of every output, with all of MathJax's packages. Among
them are commands that load (``\require``, ``\mmlToken{mglyph}[src=…]``), link (``\href``), name or
style elements (``\cssId``, ``\class``, ``\style``, ``\label``, ``\tag``), move things over others
(``\raise``, ``\hspace``), or define commands for all that follows on the page (``\def``).

Guarantees: what `is_harmless` accepts names listed commands and environments only, is shallow and
small; a name cannot be put together from parts, as no listed command does that.
Assumes: a command is a backslash and letters, as TeX and MathJax read it; ``^^`` means nothing.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["is_harmless", "unset"]

# Letters, operators and relations, arrows, large operators and functions, structure, accents and
# lines, dots, spaces, fonts and styles.
_COMMANDS: Final = frozenset(
    re.findall(
        r"[A-Za-z]+",
        """
        alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa
        varkappa lambda mu nu xi omicron pi varpi rho varrho sigma varsigma tau upsilon phi
        varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega
        aleph beth hbar hslash ell imath jmath wp Re Im partial nabla infty eth digamma
        pm mp times div cdot ast star circ bullet oplus ominus otimes oslash odot cap cup
        uplus sqcap sqcup vee wedge lor land setminus wr diamond amalg dagger ddagger
        bigcirc triangle neg lnot le leq leqslant ge geq geqslant ne neq equiv sim simeq
        approx cong propto ll gg prec succ preceq succeq subset supset subseteq supseteq
        nsubseteq subsetneq sqsubseteq in ni notin mid nmid parallel perp vdash dashv models
        asymp doteq bowtie forall exists nexists emptyset varnothing angle top bot surd
        complement therefore because not colon
        to gets mapsto leftarrow rightarrow leftrightarrow Leftarrow Rightarrow
        Leftrightarrow longleftarrow longrightarrow longleftrightarrow Longleftarrow
        Longrightarrow Longleftrightarrow longmapsto uparrow downarrow updownarrow Uparrow
        Downarrow nearrow searrow swarrow nwarrow hookleftarrow hookrightarrow iff implies
        impliedby xleftarrow xrightarrow
        sum prod coprod int iint iiint oint bigcap bigcup bigsqcup bigvee bigwedge bigoplus
        bigotimes bigodot biguplus lim liminf limsup max min sup inf arg det dim exp gcd hom
        ker lg ln log Pr deg sin cos tan cot sec csc sinh cosh tanh coth arcsin arccos
        arctan mod bmod pmod operatorname limits nolimits
        frac dfrac tfrac cfrac binom dbinom tbinom sqrt root over choose atop stackrel
        overset underset substack left right middle big Big bigg Bigg bigl bigr Bigl Bigr
        biggl biggr Biggl Biggr lfloor rfloor lceil rceil langle rangle lvert rvert lVert
        rVert vert Vert lbrace rbrace lbrack rbrack backslash begin end hline boxed
        hat widehat tilde widetilde bar vec dot ddot dddot acute grave breve check overline
        underline overbrace underbrace overrightarrow overleftarrow prime
        dots ldots cdots vdots ddots dotsb dotsc quad qquad enspace text textbf textit
        textrm texttt textsf mathrm mathbf mathit mathsf mathtt mathcal mathbb mathfrak
        mathscr boldsymbol bf it rm cal displaystyle textstyle scriptstyle scriptscriptstyle
        """,
    )
)
_ENVIRONMENTS: Final = frozenset(
    re.findall(
        r"[A-Za-z]+",
        """
        align alignat aligned alignedat array Bmatrix bmatrix cases equation gather gathered
        matrix multline pmatrix smallmatrix split vmatrix Vmatrix
        """,
    )
)
_COMMAND: Final = re.compile(r"\\(?:([A-Za-z]+)|.)?", re.DOTALL)
_ENVIRONMENT: Final = re.compile(r"\\(?:begin|end)(?![A-Za-z])(?:\s*\{(\w+\*?)\})?")
# A negative skip after a row puts the next one over what stands above.
_SKIP: Final = re.compile(r"\\\\\*?\s*\[\s*-")
_GROUP: Final = re.compile(r"[{}]|\\(?:begin|left|end|right)(?![A-Za-z])")
# Scripts of scripts: "a^b^c" is an error, "a^\hat b^\hat c" is not.
_SCRIPTS: Final = re.compile(r"(?:[\^_]\s*(?:\\\w+\s*)?){20}")
_ALIKE: Final = {ord("$"): "\uff04", ord("\\"): "\u2216"}
_LENGTH: Final = 20_000
_DEPTH: Final = 40
_SIGNS: Final = 4000


def is_harmless(text: str) -> bool:
    """True where MathJax may be given this text, with or without delimiters of mathematics in it.

    A text without a command, such as a sentence with two dollar signs, is harmless.
    """
    signs = text.count("\\")
    if signs:
        if signs > _SIGNS or _SKIP.search(text):
            return False
        if not {name[1] for name in _COMMAND.finditer(text) if name[1]} <= _COMMANDS:
            return False
        for found in _ENVIRONMENT.finditer(text):
            if found[1] is None or found[1].rstrip("*") not in _ENVIRONMENTS:
                return False
    elif "$" not in text:
        return True
    return len(text) <= _LENGTH and _is_shallow(text)


def unset(text: str) -> str:
    """Return a text in which MathJax finds no mathematics, if what it would find is not harmless.

    Where a text stands alone no element can tell MathJax to pass it over, so its signs are replaced
    by others that look alike.
    """
    return text if is_harmless(text) else text.translate(_ALIKE)


def _is_shallow(text: str) -> bool:
    # MathJax calls itself for each group, script and environment that stands in another.
    depth = 0
    for sign in _GROUP.findall(text):
        if sign in {"}", "\\end", "\\right"}:
            depth = max(0, depth - 1)
        elif sign in {"{", "\\begin", "\\left"}:
            depth += 1
        if depth > _DEPTH:
            return False
    return _SCRIPTS.search(text) is None
