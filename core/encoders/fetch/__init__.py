"""Bring a checkpoint from the hub to this machine, after saying what it costs.

huggingface_hub does the talking, so HF_HOME, HF_ENDPOINT, HF_HUB_OFFLINE and a stored login work as
its users know them. Only config, tokenizer and safetensors files are fetched: no code, no pickle.

`machine` says what an encoder needs against what there is, `cached` what is here already, `plan`
adds both up with what the hub says, `download` fetches, each weights file by `blob`.
"""

from core.encoders.fetch.download import fetch_checkpoint, fetch_description
from core.encoders.fetch.plan import (
    FetchPlan,
    PairPlan,
    plan_fetch,
    plan_together,
    resolve_revision,
)

__all__ = [
    "FetchPlan",
    "PairPlan",
    "fetch_checkpoint",
    "fetch_description",
    "plan_fetch",
    "plan_together",
    "resolve_revision",
]
