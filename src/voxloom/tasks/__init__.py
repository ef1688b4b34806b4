"""What can be learned: one folder per task, behind one contract (task.py). The only place that knows a task by name."""
