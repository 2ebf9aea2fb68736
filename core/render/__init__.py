"""Records as HTML, for the page and the report alike: the only room that writes markup.

`render` fills a template of ``templates/`` with records. Everything it fills in is escaped by one
rule (`escape`); only what another template made passes as it is.
"""

from core.render.environment import render
from core.render.escape import Html, attrs, escape, plain, sentence, with_code

__all__ = ["Html", "attrs", "escape", "plain", "render", "sentence", "with_code"]
