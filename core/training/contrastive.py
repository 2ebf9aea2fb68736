"""Stage 2: the same pairs, order, steps, loss and limits for both arms.

InfoNCE in both directions over the batch (van den Oord et al. 2018), whose mates are mined to
resemble each other, and, if a teacher's vectors are given, the divergence between the arm's and the
teacher's similarities in the batch. Trained are the adapters of the first K layers and the readout's
projection; its statistics and token weights stay fixed. For ablations the lower layers can be left
as stage 1 made them, or the matrices themselves be trained.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from core.training.pairs import TokenBatch, known_duplicates, tokenised
from core.training.schedule import Log, Schedule, train

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tokenizers import Tokenizer

    from core.encoders.readout import Readout
    from core.encoders.spec import Attention
    from core.monitor import Monitor
    from core.training.corpus import TrainingPair
    from core.training.network import AdaptedNetwork

# A teacher: texts -> (n, dim) unit rows.
Teacher = "Callable[[Sequence[str]], Tensor]"


@dataclass(frozen=True, slots=True)
class ContrastiveOptions:
    """Settings of stage 2.

    Attributes:
        query_prompt: Prefix of queries.
        passage_prompt: Prefix of passages.
        query_tokens: Queries are cut after so many tokens.
        passage_tokens: Passages are cut after so many tokens.
        long_tokens: The same for the long pairs.
        temperature: Similarities are divided by it.
        teacher_temperature: The same for the teacher's similarities.
        teacher_weight: Of the divergence from the teacher; 0 uses no teacher.
        projection_rate: The projection learns at this share of the learning rate: it starts from a
            closed form over thousands of pairs, the adapters do not.
        micro_batch: Short texts that go through the network at once, and of long ones as many as
            hold no more tokens; smaller than a batch switches to
            gradient caching (Gao et al. 2021), which costs a third more time and much less memory.
        precision: Compute type inside the network.
        first_layer: Layers below it are left as stage 1 made them.
        in_full: Train the layers' matrices in place of their adapters.
    """

    query_prompt: str = "query: "
    passage_prompt: str = "passage: "
    query_tokens: int = 48
    passage_tokens: int = 128
    long_tokens: int = 1024
    temperature: float = 0.05
    teacher_temperature: float = 0.05
    teacher_weight: float = 0.0
    projection_rate: float = 0.3
    micro_batch: int = 64
    precision: torch.dtype = torch.float32
    first_layer: int = 0
    in_full: bool = False


def contrast(
    network: AdaptedNetwork,
    readout: Readout,
    *,
    attention: Attention,
    batches: Sequence[Sequence[TrainingPair]],
    tokenizer: Tokenizer,
    options: ContrastiveOptions,
    schedule: Schedule,
    checkpoint: Path | None,
    teacher: Callable[[Sequence[str]], Tensor] | None = None,
    monitor: Monitor | None = None,
) -> tuple[Readout, Log]:
    """Run stage 2 for one arm.

    Args:
        network: At K layers or more, adapters loaded from stage 1.
        readout: With a projection to start from.
        attention: How this arm attends.
        batches: Pairs, step by step; from the beginning again when they are used up.
        tokenizer: The base's.
        options: Settings.
        schedule: How long and how fast.
        checkpoint: Where the state is kept.
        teacher: Texts to unit rows; needed when its weight is not 0.
        monitor: Told after every step.

    Returns:
        The readout with the trained projection, and the log.
    """
    depth = max(readout.layers)
    if readout.projection is None:
        readout = replace(readout, projection=torch.eye(readout.matrix_shape[0]))
    projection = nn.Parameter(torch.as_tensor(readout.projection).detach().clone())
    learned = replace(readout, projection=projection)
    padding_id = int(network.backbone.config.pad_token_id or 0)

    def embed(batch: TokenBatch) -> Tensor:
        return embeddings(
            network, learned, batch, attention=attention, depth=depth, precision=options.precision
        )

    def step(number: int) -> tuple[dict[str, float], int]:
        pairs = batches[number % len(batches)]
        is_long = pairs[0].source == "long"
        queries = tokenised(
            [pair.query for pair in pairs],
            prompt=options.query_prompt,
            tokenizer=tokenizer,
            max_tokens=options.query_tokens,
            padding_id=padding_id,
        )
        passages = tokenised(
            [pair.positive for pair in pairs],
            prompt=options.passage_prompt,
            tokenizer=tokenizer,
            max_tokens=options.long_tokens if is_long else options.passage_tokens,
            padding_id=padding_id,
        )
        excluded = torch.from_numpy(known_duplicates(pairs))
        wanted = None
        if teacher is not None and options.teacher_weight > 0 and not is_long:
            wanted = (
                teacher([pair.query for pair in pairs])
                @ teacher([pair.positive for pair in pairs]).T
            )
        parts: dict[str, float] = {}

        def loss_of(rows: Tensor) -> Tensor:
            half = len(pairs)
            similarities = rows[:half] @ rows[half:].T
            loss = info_nce(similarities, excluded=excluded, temperature=options.temperature)
            parts["contrastive"] = float(loss.detach())
            if wanted is not None:
                gap = divergence(
                    similarities,
                    wanted.to(similarities),
                    temperature=options.temperature,
                    teacher_temperature=options.teacher_temperature,
                )
                parts["teacher"] = float(gap.detach())
                loss = loss + options.teacher_weight * gap
            return loss

        # A long step must not need more memory than a short one: attention's share is quadratic.
        longest = passages.token_ids.shape[1]
        fitting = options.micro_batch * options.passage_tokens // longest
        micro = max(1, min(options.micro_batch, fitting)) if is_long else options.micro_batch
        chunks = _chunks(queries, micro) + _chunks(passages, micro)
        backward_in_chunks(chunks, embed, loss_of, cached=len(chunks) > 2)
        return parts, int(queries.attention_mask.sum() + passages.attention_mask.sum())

    if options.in_full:
        chosen = network.trained_in_full(layers=depth, first=options.first_layer)
    else:
        chosen = network.trained(layers=depth, first=options.first_layer)
        del chosen["mask_vector"]
    network.learn_only(chosen.values())
    parameters = {**chosen, "projection": projection}
    log = train(
        parameters,
        step,
        schedule=schedule,
        checkpoint=checkpoint,
        stage="contrasting",
        slower={"projection": options.projection_rate},
        monitor=monitor,
    )
    return replace(readout, projection=projection.detach()), log


def embeddings(
    network: AdaptedNetwork,
    readout: Readout,
    batch: TokenBatch,
    *,
    attention: Attention,
    depth: int,
    precision: torch.dtype = torch.float32,
) -> Tensor:
    """Unit rows, ``(batch, dim)`` float32, of a batch of texts."""
    device = network.device
    token_ids = batch.token_ids.to(device)
    with torch.autocast(device.type, dtype=precision, enabled=precision is not torch.float32):
        states, _ = network.states(
            token_ids,
            attention=attention,
            layers=readout.layers,
            attention_mask=batch.attention_mask.to(device),
            depth=depth,
        )
    moved = readout.to(device)
    rows = moved.raw_embeddings(states, moved.shares(token_ids, batch.pooled.to(device)))
    return nn.functional.normalize(rows, dim=-1)


def info_nce(similarities: Tensor, *, excluded: Tensor, temperature: float) -> Tensor:
    """Mean of both directions' cross-entropy of the true pair among the batch.

    Args:
        similarities: ``(n, n)`` cosines; the true pairs are the diagonal.
        excluded: ``(n, n)`` bool: pairs that are no negatives (same text).
        temperature: Similarities are divided by it.
    """
    logits = similarities / temperature
    logits = logits.masked_fill(excluded.to(logits.device), float("-inf"))
    truth = torch.arange(len(logits), device=logits.device)
    forth = nn.functional.cross_entropy(logits, truth)
    back = nn.functional.cross_entropy(logits.T, truth)
    return (forth + back) / 2


def divergence(
    similarities: Tensor,
    wanted: Tensor,
    *,
    temperature: float,
    teacher_temperature: float,
) -> Tensor:
    """Kullback-Leibler divergence of the arm's batch similarities from the teacher's, by rows."""
    return nn.functional.kl_div(
        nn.functional.log_softmax(similarities / temperature, dim=-1),
        nn.functional.log_softmax(wanted / teacher_temperature, dim=-1),
        log_target=True,
        reduction="batchmean",
    )


def backward_in_chunks(
    chunks: Sequence[TokenBatch],
    embed: Callable[[TokenBatch], Tensor],
    loss_of: Callable[[Tensor], Tensor],
    *,
    cached: bool,
) -> Tensor:
    """Accumulate the gradients of a loss over all rows, with the memory of one chunk if cached.

    Gradient caching (Gao et al. 2021, section 3.2): embed without graph, take the loss's gradient
    at the embeddings, then embed chunk by chunk again and push that gradient through.
    """
    if not cached:
        loss = loss_of(torch.cat([embed(chunk) for chunk in chunks]))
        torch.autograd.backward(loss)
        return loss.detach()
    with torch.no_grad():
        rows = torch.cat([embed(chunk) for chunk in chunks])
    rows.requires_grad_()
    loss = loss_of(rows)
    (gradient,) = torch.autograd.grad(loss, rows)
    start = 0
    for chunk in chunks:
        again = embed(chunk)
        torch.autograd.backward(again, gradient[start : start + len(again)])
        start += len(again)
    return loss.detach()


def _chunks(batch: TokenBatch, size: int) -> list[TokenBatch]:
    """Cut a batch by rows, each piece trimmed to its own longest text."""
    pieces = []
    for at in range(0, len(batch.token_ids), size):
        rows = slice(at, at + size)
        length = int(batch.attention_mask[rows].sum(dim=1).max())
        pieces.append(
            TokenBatch(
                token_ids=batch.token_ids[rows, :length],
                attention_mask=batch.attention_mask[rows, :length],
                pooled=batch.pooled[rows, :length],
            )
        )
    return pieces
