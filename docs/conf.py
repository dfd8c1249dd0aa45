"""The documentation site: the pages of this folder, and tutorials that are run while it is built (`make docs`).

Nothing is fetched, neither now nor when a page is looked at: the theme brings its files along, formulas are text.
"""

import os
import sys
from functools import partialmethod
from pathlib import Path

from nbclient import NotebookClient

import facetem

project = "facetem"
author = "the facetem authors"
project_copyright = "the facetem authors, GPL-3.0-or-later"
version = release = facetem.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build", "**/.ipynb_checkpoints"]

html_theme = "furo"
html_title = f"facetem {release}"
html_static_path = ["_static"]
html_css_files = ["facetem.css"]
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True, "top_of_page_buttons": []}

# Pages are read in the repository as well, where they link to what is no page of the site: ../README.md, source files.
# That every link leads to a file is asserted by tests/workflow/test_docs.py.
suppress_warnings = ["myst.xref_missing"]
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]

default_role = "code"  # `name` in docstrings, as in Markdown
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_google_docstring = False
napoleon_use_rtype = False

# Tutorials run from the beginning, each in a folder of its own that is thrown away, and an error ends the build.
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 120
os.environ["PATH"] = (
    f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # `facetem` of this environment
)
os.environ["BASH_ENV"] = str(Path(__file__).with_name("plain.sh"))  # what every %%bash cell begins with
os.environ["COLUMNS"] = "100"
os.environ["OMP_NUM_THREADS"] = "1"  # tutorials run side by side
os.environ.setdefault("MPLBACKEND", "agg")

# What a %%bash cell prints arrives in pieces of 100 bytes. `nb_merge_streams` puts a line break between them, which
# tears tables; nbclient joins them rightly, and MyST-NB does not hand on the option.
NotebookClient.__init__ = partialmethod(NotebookClient.__init__, coalesce_streams=True)
