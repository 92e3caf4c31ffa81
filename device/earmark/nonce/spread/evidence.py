"""From the evidence for single codes to that for a nonce made of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

HEARD_SHARES = (0.15, 0.5)
"""Prior shares of the codes that an old nonce shows: a short replay, a long one."""


def all_codes(by_code: NDArray[np.float32]) -> NDArray[np.float64]:
    """Log e-value of an old nonce from those of its codes; (CODES, n) -> (n,).

    Each code is heard with a prior probability, or says nothing; the mean over two priors.
    """
    logs = []
    for share in HEARD_SHARES:
        # log(1 - share + share exp(x)) is at least its greater term: cheap, and still proved.
        heard = np.maximum(by_code + np.float32(np.log(share)), np.float32(np.log(1.0 - share)))
        logs.append(heard.sum(axis=0, dtype=np.float64))
    return np.asarray(np.logaddexp.reduce(logs, axis=0) - np.log(len(logs)), np.float64)
