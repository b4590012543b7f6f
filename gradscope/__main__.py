"""``gradscope`` and ``python -m gradscope``."""

import sys


def main() -> int:
    """Entry point; gives the exit code. Ctrl-C is quiet while the command line is imported, too."""
    try:
        from gradscope.cli import main as run
    except KeyboardInterrupt:
        return 130
    return run()


if __name__ == "__main__":
    sys.exit(main())
