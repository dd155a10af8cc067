"""Making and deleting the alarms of a stack's streams. Which alarms: ``alarms.py``."""

from collections.abc import Iterable, Mapping

from weir.streams.alarms import alarms_of, names, prefix, stream_of
from weir.streams.cloudwatch import Alarms


class Alarming:
    """The alarms of one stack's streams, which tell one topic. Every method may raise CloudWatch's WeirErrors."""

    def __init__(self, alarms: Alarms, stack: str, topic: str) -> None:
        self._alarms, self._stack, self._topic = alarms, stack, topic

    def known(self) -> set[str]:
        """The names of the alarms that there are."""
        return set(self._alarms.names(prefix(self._stack)))

    def make(self, stream: str, tags: Mapping[str, str], known: Iterable[str] = ()) -> list[str]:
        """Make those that a stream's tags ask for, but for the ``known``; the names of those that were made."""
        wanted = [alarm for alarm in alarms_of(self._stack, stream, tags) if alarm.name not in set(known)]
        for alarm in wanted:
            self._alarms.put(alarm, self._topic)
        return [alarm.name for alarm in wanted]

    def delete(self, stream: str) -> None:
        """Delete a stream's alarms; done already where there are none."""
        self._alarms.delete(names(self._stack, stream))

    def orphans(self, known: Iterable[str], streams: Iterable[str]) -> list[str]:
        """Of the ``known`` alarms, those of none of the streams."""
        there = set(streams)
        return sorted(name for name in known if stream_of(self._stack, name) not in there)

    def delete_all(self, alarms: list[str]) -> None:
        """Delete alarms by their names."""
        self._alarms.delete(alarms)
