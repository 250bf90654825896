"""What Python imports before anything else in a process that has this folder on PYTHONPATH.

alloc starts a process of its own, and imports Lightning where that is installed, which imports
torchvision.
"""

import torchvision_models  # noqa: F401
