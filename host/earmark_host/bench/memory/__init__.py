"""``earmark-host bench memory``: the query memory against households and attackers."""

from earmark_host.bench.memory.run import Part, run

__all__ = ["Part", "run"]
