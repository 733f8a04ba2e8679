"""The one exception that is meant for the person at the keyboard."""


class UserError(Exception):
    """Something the user can put right: bad configuration, missing file, unreadable data.

    The message is one line: the value met, what was expected, and what to change. `main.py` prints
    it without a traceback and exits with status 2; every other exception is a bug and keeps its
    traceback.
    """
