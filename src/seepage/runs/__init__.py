"""Where units of work run: in this process, or in a supervised pool of local processes."""

from seepage.runs.executor import Executor, Inline, Progress, Report, Task, Unit
from seepage.runs.local import Processes

__all__ = ["Executor", "Inline", "Processes", "Progress", "Report", "Task", "Unit"]
