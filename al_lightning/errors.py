"""What can go wrong through no fault of the code: shown to the user without a traceback."""


class UserError(Exception):
    """A failure that its message explains: what is wrong, where, and what to do. Takes one string."""

    exit_code = 1


class ConfigError(UserError):
    """A setting that cannot work. The message names the key, the value and what is allowed."""

    exit_code = 2


class DataError(UserError):
    """Images that cannot be had or read."""
