"""Code that type checkers must refuse: if an error disappears, its comment is an error."""

from fastsig import Retry, Signal, muted, observe, receiver
from fastsig.signals import task_prerun

saved = Signal(name="saved")


def on_saved(sender: object, pk: int) -> str:
    """Receive."""
    return str(pk)


Signal(name=1)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
Signal(providing_args=7)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
Signal(provides=["pk"])  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
saved.connect("article")  # type: ignore[call-overload] # pyright: ignore[reportArgumentType, reportCallIssue]
saved.connect(on_saved, week=False)  # type: ignore[call-overload] # pyright: ignore[reportCallIssue]
saved.connect(on_saved, weak="no")  # type: ignore[call-overload] # pyright: ignore[reportArgumentType, reportCallIssue]
saved.connect(on_saved, retry="yes")  # type: ignore[call-overload] # pyright: ignore[reportArgumentType, reportCallIssue]
saved.connect(on_saved, dispatch_uid=[])  # type: ignore[call-overload] # pyright: ignore[reportArgumentType, reportCallIssue]


@saved.connect(week=False)  # type: ignore[call-overload, untyped-decorator] # pyright: ignore[reportCallIssue, reportUntypedFunctionDecorator]
def misspelt(pk: int) -> int:
    """Connect with an option that there is not."""
    return pk


@receiver(saved, week=False)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue, reportUntypedFunctionDecorator]
def misspelt_too(pk: int) -> int:
    """Connect with an option that there is not."""
    return pk


receiver(saved, weak="no")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
receiver(7)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
saved.disconnect("article")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
saved.disconnect(on_saved, retry=True)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
saved.has_listeners(sender="article", pk=7)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
saved.send()  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
saved.send("article", 7)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
saved.name = 1  # type: ignore[assignment] # pyright: ignore[reportAttributeAccessIssue]
saved.use_caching = None  # type: ignore[assignment] # pyright: ignore[reportAttributeAccessIssue]
on_connected: int = saved.connect(on_saved)  # type: ignore[assignment] # pyright: ignore[reportAssignmentType]
saved.connect(on_saved)(pk=7)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
saved.connect(on_saved, retry=True)(pk=7)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
Signal(on_error="ignore")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
saved.connect(on_saved, on_error="log")  # type: ignore[call-overload] # pyright: ignore[reportArgumentType, reportCallIssue]
saved.connect(on_saved, once="yes")  # type: ignore[call-overload] # pyright: ignore[reportArgumentType, reportCallIssue]
Retry(attempts=2.5)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
task_prerun.connect(on_saved, week=False)  # type: ignore[call-overload] # pyright: ignore[reportCallIssue]
muted(7)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
observe(7)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
