"""How a result is shown: the package hands the report's two functions over when it is imported.

Results are values that import nothing but their checks; the report imports them. So they cannot import it in turn.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

page: Callable[[Any, Any], Path]
text: Callable[[Any], str]
