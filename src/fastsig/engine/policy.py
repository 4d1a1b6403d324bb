"""What one face wants otherwise than another."""

from __future__ import annotations

from fastsig.engine.plans import make_plan

TYPE_CHECKING = False  # as in typing, which takes longer to import than all of this package
if TYPE_CHECKING:
    from typing import Any, ClassVar

    from fastsig.engine.plans import Plan
    from fastsig.engine.table import Route


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

    unplanned: ClassVar[bool] = False
    """Whether each receiver is called by `call`, which takes longer, instead of by a plan."""

    def names_of(self, sender: Any) -> tuple[str, ...]:
        """Return the names of a sender: what is connected for one of them receives from it, too.

        It must not raise.  An engine asks for it when it makes the route of a sender, if there are
        connections for a str.
        """
        return ()

    def read_sender(self, sender: Any) -> Any:
        """Return what somebody means with `sender` who connects for it or asks for it."""
        return sender

    collects: ClassVar[bool] = False
    """Whether `collect` is called in place of `fail`."""

    def plan(self, receiver: Any, names: tuple[str, ...]) -> Plan:
        """Return the call plan of a receiver for arguments of these names (see `make_plan`)."""
        return make_plan(receiver, names, self.trim)

    def fail(self, signal: Any, receiver: Any, exception: Exception) -> Any:
        """Return the response of a receiver that raised in `send_robust`; or raise."""
        return exception

    def collect(
        self,
        signal: Any,
        exception: Exception,
        route: Route,
        i: int,
        sender: Any,
        named: dict[str, Any],
    ) -> Any:
        """Call the receivers of a route from the i-th on, after one that raised; then raise.

        What a receiver raises that is connected to raise comes out at once.

        Raises:
            Exception: What `make_group` makes of what they raised.
        """
        from fastsig.engine import resolve

        exceptions = [exception]
        try:
            for reference in route.references[i:]:
                receiver = resolve(reference)
                if receiver is None:
                    continue
                try:
                    self.call(signal, receiver, sender, named, False)
                except Exception as another:
                    if route.raises(receiver):
                        raise
                    exceptions.append(another)
            raise self.make_group(signal, exceptions)
        finally:
            del exceptions, exception  # their tracebacks refer to this frame

    def make_group(self, signal: Any, exceptions: list[Exception]) -> Exception:
        """Return what `collect` raises."""
        return exceptions[0]

    def call(
        self, signal: Any, receiver: Any, sender: Any, named: dict[str, Any], robust: bool
    ) -> Any:
        """Call one receiver as a send does, without a plan; return its response.

        Raises:
            Exception: The receiver raised it, and not `robust`; or `fail` did.
        """
        names, values = (*self.names, *named), (signal, sender, *named.values())
        try:
            if not self.names:
                return receiver(sender, **named)
            if self.names[0] in named:
                raise TypeError(f"{receiver!r} got multiple values for argument {names[0]!r}")
            _, _, positional, keywords = self.plan(receiver, names)
            return receiver(
                *[values[i] for i in positional], **{names[i]: values[i] for i in keywords}
            )
        except Exception as exception:
            if not robust:
                raise
            return self.fail(signal, receiver, exception)

    def overrides(self, engine: Any, signal: Any) -> tuple[Any, Any] | None:
        """Return what sends in the place of the engine of a host's signal, None for nothing.

        A send asks for it when the signal's class was changed.

        Returns:
            ``(for the signal's send, for the class's send)``; each is None for the engine itself,
            or is called with the arguments of the send.
        """
        return None
