"""`warehouse`, or `python -m operations`: runs the command line; what is foreseeable is one line.

Exit codes: 0 all went well; 1 something failed, and the message says what and what to do; 130 and
143 somebody ended it, by Ctrl-C or SIGTERM.
"""

import json
import sys

from ledger.errors import WarehouseError
from operations import interrupts
from operations.complaints import open_errors, print_error


def main() -> None:
    """Entry of the command."""
    interrupts.end_on_signals()
    try:
        _run()
    except KeyboardInterrupt:
        _print_failure(interrupts.MESSAGE)
        sys.exit(interrupts.exit_code())


def _run() -> None:
    # To import what the commands need takes seconds, and may be interrupted as they may.
    from operations.cli import app
    from operations.logs import set_up_logs_if_asked

    try:
        set_up_logs_if_asked()
        app()
    except WarehouseError as error:
        _print_failure(str(error))
        sys.exit(1)
    except SystemExit as error:
        # Typer makes this exit of Ctrl-C.
        if error.code == interrupts.TYPER_EXIT:
            raise KeyboardInterrupt from error
        raise


def _print_failure(message: str) -> None:
    if "--json" in sys.argv:
        print(json.dumps({"succeeded": False, "errors": [message]}))
    else:
        print_error(open_errors(), message)


if __name__ == "__main__":
    main()
