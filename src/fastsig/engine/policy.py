"""What one face wants otherwise than another."""

from __future__ import annotations

from fastsig.engine.plans import make_plan

TYPE_CHECKING = False  # as in typing, which takes longer to import than all of this package
if TYPE_CHECKING:
    from typing import Any, ClassVar

    from fastsig.engine.plans import Plan


class Policy:
    """How an engine treats senders, arguments and exceptions.

    An engine reads these when it is set up or plans a call, and in a send asks for nothing until
    a receiver raises in `send_robust`.
    """

    names: ClassVar[tuple[str, ...]] = ("signal", "sender")
    """The names under which receivers get the signal and the sender; with ``()`` the sender goes
    by position, and the signal is not passed."""

    trim: ClassVar[bool] = True
    """Whether a receiver gets only those arguments that it has a name for."""

    by_value: ClassVar[bool] = True
    """Whether the key of a str or bytes as a sender is its value, and of a proxy or a bound method
    what it stands for; otherwise the key of every sender is its identity."""

    purges: ClassVar[bool] = True
    """Whether the engine takes out of the table what died, also with the senders of what it added;
    otherwise the host does."""

    unplanned: ClassVar[bool] = False
    """Whether each receiver is called by `call`, which takes longer, instead of by a plan."""

    more: tuple[Any, ...] = ()
    """What the entries that fastsig makes on its own account have besides keys and reference."""

    def changed(self, signal: Any) -> None:
        """Hear that fastsig has changed the connections of a signal on its own account."""

    def find_sender(self, entry: tuple[Any, ...]) -> Any:
        """Return the sender of an entry that was made outside, None if that is not known."""
        return None

    def names_of(self, sender: Any) -> tuple[str, ...]:
        """Return the names of a sender: what is connected for one of them receives from it, too.

        It must not raise.  An engine asks for it when it makes the route of a sender, if there are
        connections for a str.
        """
        return ()

    def read_sender(self, sender: Any) -> Any:
        """Return what somebody means with `sender` who connects for it or asks for it."""
        return sender

    def plan(self, receiver: Any, names: tuple[str, ...]) -> Plan:
        """Return the call plan of a receiver for arguments of these names (see `make_plan`)."""
        return make_plan(receiver, names, self.trim)

    def fail(self, signal: Any, receiver: Any, exception: Exception) -> Any:
        """Return the response of a receiver that raised in `send_robust`; or raise."""
        return exception

    def finish(self, signal: Any, responses: list[tuple[Any, Any]]) -> Any:
        """Return what `send_robust` returns after receivers that raised; or raise.

        Arguments:
            signal: The signal.
            responses: The responses, with what `fail` made of exceptions.
        """
        return responses

    def call(self, signal: Any, receiver: Any, sender: Any, named: dict[str, Any]) -> Any:
        """Call one receiver as a send does, without a plan; return its response.

        Raises:
            TypeError: `named` has an argument with the name of the signal.
            Exception: The receiver raised it.
        """
        if not self.names:
            return receiver(sender, **named)
        if self.names[0] in named:
            raise TypeError(f"{receiver!r} got multiple values for argument {self.names[0]!r}")
        names, values = (*self.names, *named), (signal, sender, *named.values())
        _, _, positional, keywords = self.plan(receiver, names)
        return receiver(*[values[i] for i in positional], **{names[i]: values[i] for i in keywords})

    def overrides(self, engine: Any, signal: Any) -> tuple[Any, Any] | None:
        """Return what sends in the place of the engine of a host's signal, None for nothing.

        A send asks for it when the signal's class was changed, or its table from outside.

        Returns:
            ``(for the signal's send, for the class's send)``; each is None for the engine itself,
            or is called with the arguments of the send.
        """
        return None
