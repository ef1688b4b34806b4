"""``python -m voxloom`` is the command ``voxloom``."""

from voxloom.cli.app import main

if __name__ == "__main__":
    main()
