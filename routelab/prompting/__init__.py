"""Prompting: what a model is sent around the question: templates with versions, examples, compression.

A `Template` is a frozen value with a hash; a `Library` finds it by reference ("qa@3"); `stages.Render` puts the prompt with it.
"""

from __future__ import annotations

from routelab.prompting.difference import Difference, diff
from routelab.prompting.given import Given, Put
from routelab.prompting.library import Library, Version
from routelab.prompting.reading import Reading
from routelab.prompting.settings import FOLDER, template_of
from routelab.prompting.template import Template, Turns
from routelab.prompting.written import spec_of

__all__ = [
    "FOLDER",
    "Difference",
    "Given",
    "Library",
    "Put",
    "Reading",
    "Template",
    "Turns",
    "Version",
    "diff",
    "spec_of",
    "template_of",
]
