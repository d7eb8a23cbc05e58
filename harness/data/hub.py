"""Whether the Hugging Face hub answers, found out in seconds: the libraries themselves retry for up to a minute."""

from __future__ import annotations

import functools
import http.client
import os
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any

from harness.errors import DataError

DEFAULT_ENDPOINT = "https://huggingface.co"

_TRUE_VALUES = frozenset({"1", "ON", "YES", "TRUE"})
"""What huggingface_hub takes for yes in an environment variable."""

_REMEMBERED_S = 30.0
"""How long an answer of the probe is believed: one start asks several times, a notebook may outlive an outage."""

_NO_WAY_THROUGH = (407, 502, 503, 504)
"""HTTP statuses of a proxy or gateway that can't or won't reach the hub."""


def hub_reachable(timeout_s: float = 3.0) -> bool:
    """Return whether the hub (or the mirror that HF_ENDPOINT names) answers within `timeout_s`.

    The time covers everything, name resolution included. Proxies are taken from the environment. With HF_HUB_OFFLINE or
    TRANSFORMERS_OFFLINE set, nothing is asked and the answer is no. Any HTTP answer counts, even a refusal: what it
    means for a certain file is for the download to say. An answer is remembered for half a minute.
    """
    if told_to_stay_offline():
        return False
    proxies = tuple(sorted(urllib.request.getproxies().items()))
    return _probe_remembered(_endpoint(), proxies, timeout_s, int(time.monotonic() / _REMEMBERED_S))


def load_split(hub_id: str, split: str, columns: Sequence[str]) -> Any:
    """Return one split of a hub data set, which has at least these columns.

    What is in the local cache is taken from there, without asking the hub. DataError if it is in neither, if the hub
    can't be reached (within seconds), or if a column is missing.
    """
    dataset = _cached_split(hub_id, split)
    if dataset is None and not hub_reachable():
        reason = "HF_HUB_OFFLINE is set" if told_to_stay_offline() else f"{_endpoint()} does not answer"
        raise DataError(
            f"the hub can't be reached for data set {hub_id} ({split}), and it is not in the local cache: {reason}",
            remedy="use --train-file and --validation-file, or --data generator, or fill the cache (HF_HOME) on a "
            "machine with network",
        )
    if dataset is None:
        from datasets import load_dataset

        try:
            dataset = load_dataset(hub_id, split=split)
        # Network, authentication, parquet and builder each raise their own kinds, without a common base.
        except Exception as error:
            first_line = (str(error).splitlines() or [""])[0]
            raise DataError(
                f"data set {hub_id} ({split}) can't be loaded from the hub: {type(error).__name__}: {first_line}",
                remedy="check its name and your access, or use --train-file and --validation-file, or --data generator",
            ) from error
    missing = [name for name in columns if name not in dataset.column_names]
    if missing:
        raise DataError(
            f"hub data set {hub_id} has no column {missing[0]!r}",
            remedy=f"choose a data set with the columns {', '.join(columns)}",
        )
    return dataset


def _cached_split(hub_id: str, split: str) -> Any | None:
    """Return the split from the local cache as `datasets` itself does offline; None if it isn't there."""
    from datasets.packaged_modules.cache.cache import Cache

    try:
        builder = Cache(repo_id=hub_id, dataset_name=hub_id.rsplit("/", 1)[-1], version="auto", hash="auto")
        return builder.as_dataset(split=split)
    except (OSError, ValueError, KeyError):
        return None


def told_to_stay_offline() -> bool:
    """Whether the environment says that the hub is not to be asked."""
    # Only the first of the two that is not empty counts, as in huggingface_hub.constants.
    value = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return value.upper() in _TRUE_VALUES


def _endpoint() -> str:
    return (os.environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/")


@functools.lru_cache(maxsize=8)
def _probe_remembered(endpoint: str, proxies: tuple[tuple[str, str], ...], timeout_s: float, period: int) -> bool:
    """Return `_answers` of this endpoint; `proxies` and `period` are only there to tell one situation from the next."""
    answers: list[bool] = []
    # Name resolution has no time limit of its own, so the whole probe is left behind when the time is over.
    thread = threading.Thread(target=lambda: answers.append(_answers(endpoint, timeout_s)), daemon=True)
    thread.start()
    thread.join(timeout_s)
    return bool(answers) and answers[0]


def _answers(endpoint: str, timeout_s: float) -> bool:
    try:
        request = urllib.request.Request(endpoint, method="HEAD")
        # `urlopen` would go on with the proxies of its first call in this process.
        with urllib.request.build_opener().open(request, timeout=timeout_s):
            return True
    except urllib.error.HTTPError as error:
        return error.code not in _NO_WAY_THROUGH
    except urllib.error.URLError as error:
        # Somebody answered; the libraries bring their own certificates and say more about it.
        return isinstance(error.reason, ssl.SSLCertVerificationError)
    except (OSError, http.client.HTTPException, ValueError):
        return False
