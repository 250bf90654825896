"""Runs one client against the server in the place of Kaggle, and never against Kaggle.

python bench/stores/client.py URL sojourn push FOLDER kaggle://me/measured
python bench/stores/client.py URL kaggle datasets download me/measured
python bench/stores/client.py URL kagglehub-upload me/measured FOLDER
python bench/stores/client.py URL kagglehub-download me/measured
"""

from __future__ import annotations

import contextlib
import json
import sys

from kagglesdk import kaggle_env


def main(url: str, client: str, *arguments: str) -> None:
    for environment in kaggle_env.KaggleEnv:
        kaggle_env._env_to_endpoint[environment] = url  # noqa: SLF001 - where the address lives
    found: dict[str, str] = {}
    with contextlib.redirect_stdout(sys.stderr):  # for what the clients have to say
        if client == "sojourn":
            from sojourn.cli import root

            root.main([*arguments, "-q"], standalone_mode=False)
        elif client == "kaggle":
            sys.argv = ["kaggle", *arguments]
            from kaggle.cli import main as run_kaggle

            run_kaggle()
        elif client == "kagglehub-upload":
            import kagglehub

            kagglehub.dataset_upload(*arguments)
        else:
            import kagglehub

            found["folder"] = kagglehub.dataset_download(*arguments)
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
