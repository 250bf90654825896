"""Runs Kaggle's own clients against a server on this machine; never against Kaggle.

    python kaggle_client.py URL cli datasets download me/leaks-2024
    python kaggle_client.py URL hub-download me/leaks-2024[/versions/1]
    python kaggle_client.py URL hub-upload me/leaks-2024 FOLDER

Not imported by tests: the address is changed for a whole process, which ends with it.
"""

import sys

from kagglesdk import kaggle_env


def main(url: str, client: str, *arguments: str) -> None:
    for environment in kaggle_env.KaggleEnv:
        kaggle_env._env_to_endpoint[environment] = url
    if client == "cli":
        sys.argv = ["kaggle", *arguments]
        from kaggle.cli import main as run_kaggle

        run_kaggle()
        return
    import kagglehub

    if client == "hub-download":
        print(kagglehub.dataset_download(*arguments))  # noqa: T201 - what the test reads
    elif client == "hub-upload":
        kagglehub.dataset_upload(*arguments)
    else:
        raise SystemExit(f"no client {client}")


if __name__ == "__main__":
    main(*sys.argv[1:])
