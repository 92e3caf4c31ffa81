"""Benches: Earmark measured on a corpus of real audio, with intervals, as JSON."""

from earmark_host.bench.corpus import Clip, Corpus
from earmark_host.bench.report import Metric, Report, Row, check_writable, share_columns
from earmark_host.bench.work import Workers, usual_workers

__all__ = [
    "Clip",
    "Corpus",
    "Metric",
    "Report",
    "Row",
    "Workers",
    "check_writable",
    "share_columns",
    "usual_workers",
]
