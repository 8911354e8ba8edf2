"""What honest cells show: each kind that must look as it does without the sandbox."""

from __future__ import annotations

from typing import Final

__all__ = ["CELLS", "PRELUDE"]

PRELUDE: Final = """\
%load_ext kavach_ipy
%matplotlib inline
import warnings; warnings.simplefilter("ignore")
import numpy as np, pandas as pd, polars as pl, matplotlib.pyplot as plt
import rich.table, rich.console, tqdm, jinja2
from IPython.display import HTML, JSON, Latex, Markdown, Math, SVG, display
df = pd.DataFrame({"city": ["Oslo", "Turin", "A & B"], "price": [1.5, -2.25, 1e6], "n": [1, 2, 3]})
many = pd.DataFrame(np.arange(24.0).reshape(4, 6),
    index=pd.MultiIndex.from_product([["a", "b"], [1, 2]], names=["k", "n"]),
    columns=pd.MultiIndex.from_product([["x", "y"], [1, 2, 3]]))
"""

CELLS: Final[dict[str, str]] = {
    "frame": "df",
    "levels": "many",
    "styler": "df.style.background_gradient(subset=['price']).bar(subset=['n'], color='#d65f5f')"
    ".set_caption('Prices').hide(axis='index').highlight_max(subset=['n'], color='lightgreen')"
    ".set_properties(subset=['city'], **{'font-weight': 'bold', 'color': 'purple'})",
    "styler-css": "df.style.set_table_styles([{'selector': 'th', 'props': 'background-color:"
    " navy; color: white'}, {'selector': 'td:hover', 'props': 'background: yellow'}])",
    "polars": "pl.DataFrame({'a': [1, 2], 'b': ['x', None]})",
    "rich": "table = rich.table.Table(title='Stars')\nfor c in ('name', 'size'):"
    " table.add_column(c, style='magenta')\ntable.add_row('Sol', '1')\n"
    "rich.console.Console(force_jupyter=True).print(table)",
    "figure": "plt.figure(figsize=(3, 1.5)); plt.plot([1, 3, 2]); plt.title('T');",
    "markdown": "Markdown('## Heading\\n\\n1. one with `code`\\n2. **bold** and $e^{i\\\\pi}$\\n\\n"
    "| a | b |\\n|---|---|\\n| 1 | 2 |\\n\\n> quoted [link](https://example.org)')",
    "latex": "Math(r'\\frac{a}{b} = \\begin{bmatrix}1 & 2\\\\3 & 4\\end{bmatrix}')",
    "svg": "SVG('<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"60\" height=\"30\">"
    "<circle cx=\"15\" cy=\"15\" r=\"14\" fill=\"teal\"/></svg>')",
    "json": "JSON({'a': [1, {'b': None}]})",
    "html": "HTML('<details open><summary>More</summary><p style=\"color:crimson\">red <kbd>Ctrl"
    "</kbd> H<sub>2</sub>O</p></details>')",
    "text": "print('plain \\x1b[1;32mgreen\\x1b[0m caf\\u00e9 \\u2713 \\U0001f40d')",
    "progress": "for at in tqdm.tqdm(range(30), desc='work', ncols=60): pass",
    "widget": "display({'application/vnd.jupyter.widget-view+json': {'model_id': 'x'},"
    " 'text/plain': 'IntSlider(value=3)'}, raw=True)",
    "dollars": "pd.DataFrame({'cost': ['$5', '$6 and $7'], 'path': [r'C:\\new\\tab', 'x']})",
    "error": "def f(x):\n    return 1 / x\nf(0)",
}  # fmt: skip
"""Names and cells; the last one raises."""
