"""How Sphinx builds these pages: `make docs`. Nothing here needs a network."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from smix_mm.version import __version__

project = "smix_mm"
release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["figures"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"smix_mm {release}"
html_copy_source = False
html_show_copyright = False

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
maximum_signature_line_length = 100
python_use_unqualified_type_names = True
add_module_names = False
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True


def write_slider(app, error) -> None:
    """The page with a slider that the front page shows: the method on photographs of scikit-image."""
    if error is None and app.builder.name == "html":
        from smix_mm.visualization.browse import browse_mix

        static = Path(app.outdir, "_static")
        browse_mix(Path(__file__).parent / "figures/photographs.py", html=static / "slider.html", number=8)


def setup(app) -> None:
    app.connect("build-finished", write_slider)
