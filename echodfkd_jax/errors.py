"""The exceptions that are meant for whoever started the command."""


class UserError(Exception):
    """Something the user can put right: bad configuration, missing file, unreadable data.

    The message is one line: the value met, what was expected, and what to change. `main.py` prints
    it without a traceback and exits with status 2; every other exception is a bug and keeps its
    traceback.
    """

    def __init__(self, message: str):
        # What came from outside (a name, a library's message) may hold line breaks.
        super().__init__(" ".join(message.splitlines()))


class DiskError(UserError):
    """A file that could not be written: nothing else can be expected to be."""


class PreemptedError(Exception):
    """The command was told to stop (SIGTERM) and has saved; started again, it goes on from there.

    `main.py` prints the message and exits with status 143, as a process that SIGTERM ended.
    """
