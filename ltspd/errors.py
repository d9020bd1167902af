"""Every error that a caller can get, each with its D-Bus name. Pure."""

import errno

from ltspd.names import error


class LtspError(Exception):
    """Base of all foreseeable errors: ``message`` names the thing, the reason and the next step."""

    name = "Failed"

    def __init__(self, message: str) -> None:
        """Keep the sentence that the caller will read."""
        super().__init__(message)
        self.message = message

    @property
    def dbus_name(self) -> str:
        """The full D-Bus error name."""
        return error(self.name)


class NoSuchImage(LtspError):
    """No image of that name is published or can be built."""

    name = "NoSuchImage"


class NoSuchGeneration(LtspError):
    """The image has no generation of that id."""

    name = "NoSuchGeneration"


class NoSuchSource(LtspError):
    """Nothing to build the image from."""

    name = "NoSuchSource"


class NoSuchJob(LtspError):
    """No running or recently finished job of that id."""

    name = "NoSuchJob"


class NoSuchOutput(LtspError):
    """No output of that name."""

    name = "NoSuchOutput"


class InvalidName(LtspError):
    """A name that could leave its directory or break a configuration file."""

    name = "InvalidName"


class InvalidOption(LtspError):
    """An option of a call that is unknown or has the wrong type."""

    name = "InvalidOption"


class Busy(LtspError):
    """The same thing is already being done, or a lock is held by someone else."""

    name = "Busy"


class NothingToRevert(LtspError):
    """There is no other generation to go back to."""

    name = "NothingToRevert"


class InUse(LtspError):
    """The thing is in use and can't be removed now."""

    name = "InUse"


class ConfigError(LtspError):
    """A configuration file with a mistake: file, line and reason are in the message."""

    name = "ConfigError"


class OutputEdited(LtspError):
    """A generated file was changed by hand and would be overwritten."""

    name = "OutputEdited"


class NoKernel(LtspError):
    """The source has no kernel, or none with its modules."""

    name = "NoKernel"


class UnsuitableInitrd(LtspError):
    """The distribution's own initrd was asked for and is missing, holds secrets, or can't be added to."""

    name = "UnsuitableInitrd"


class SecretInImage(LtspError):
    """A layer that was just packed holds a secret; it is not published."""

    name = "SecretInImage"


class NoInit(LtspError):
    """The source has no init that could be started."""

    name = "NoInit"


class BadDisk(LtspError):
    """A disk image whose content can't be right: damaged, cut short or made to do harm."""

    name = "BadDisk"


class UnsupportedDisk(LtspError):
    """A disk image of a kind, or with parts, that this server can't read."""

    name = "UnsupportedDisk"


class WrongArchitecture(LtspError):
    """The source is of an architecture that this server can't build a boot initrd for."""

    name = "WrongArchitecture"


class NoSpace(LtspError):
    """The image store's file system would not hold the result."""

    name = "NoSpace"


class InconsistentSource(LtspError):
    """The source's packages are half installed; an image of it would be broken."""

    name = "InconsistentSource"


class Unanswered(LtspError):
    """The service manager did not answer."""


class ToolFailed(LtspError):
    """A program that we started ended with an error; the end of its output is in the message."""

    name = "ToolFailed"


class NotInstalled(LtspError):
    """A program that the work needs is not installed here; the message names its package."""

    name = "NotInstalled"


class NoMemory(LtspError):
    """There is less free memory on the server than the work needs."""

    name = "NoMemory"


class TestFailed(LtspError):
    """A generation did not reach its login in the machine that tried it out; the message names the log."""

    name = "TestFailed"


class NoSuchClient(LtspError):
    """There is no such client or room, or a name stands for several; the message says which."""

    name = "NoSuchClient"


class NotObeyed(LtspError):
    """Some clients did not do what they were told; the message names them and says why."""

    name = "NotObeyed"


class ConfigChanged(LtspError):
    """A configuration file is not the one any more that the caller has read."""

    name = "ConfigChanged"


class NoKey(LtspError):
    """A client has not reported the key that is to be approved."""

    name = "NoKey"


class Cancelled(LtspError):
    """The job was cancelled by a caller."""

    name = "Cancelled"


class Stopping(LtspError):
    """The daemon is shutting down."""

    name = "Stopping"


class NotAuthorized(LtspError):
    """Polkit, or the root-only rule without polkit, refused the caller."""

    name = "NotAuthorized"


def from_system(error: OSError, doing: str) -> LtspError:
    """Return an OSError as an error with a next step; the message begins with ``doing``."""
    where = f" ({error.filename})" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return NoSpace(f"{doing}: no space is left on the file system{where}. Make room there and try again.")
    return LtspError(f"{doing}: {error.strerror or error}{where}. Mend that and try again.")
