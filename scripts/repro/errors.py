"""The one exception that is meant for the person at the keyboard."""


class UserError(Exception):
    """Something the user can mend.

    The message names the file or key, what was expected, what was found and what to do next.
    Scripts print it without a traceback.
    """
