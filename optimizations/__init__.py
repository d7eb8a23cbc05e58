"""The strategies, one file each. Every module in this folder and below is imported, and so registers what it holds."""

import importlib
import pkgutil

for _module in pkgutil.walk_packages(__path__, f"{__name__}."):
    importlib.import_module(_module.name)
