"""``earmark-host bench speaker``: the speaker model on a corpus, beside its peers."""

from earmark_host.bench.speaker.run import Part, run

__all__ = ["Part", "run"]
