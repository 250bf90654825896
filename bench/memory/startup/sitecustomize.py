"""What Python imports before anything else in a process that has this folder on PYTHONPATH.

For alloc, which starts a process of its own: it imports Lightning where that is installed, which
imports torchvision; and it builds a model with all its weights, so it is kept from taking the whole
host with a large one.
"""

import resource

import psutil
import torchvision_models  # noqa: F401

_HOST_SHARE = 0.4  # two run at a time
_limit_bytes = int(psutil.virtual_memory().total * _HOST_SHARE)
resource.setrlimit(resource.RLIMIT_DATA, (_limit_bytes, _limit_bytes))
