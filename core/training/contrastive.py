"""Stage 2: the same pairs, order, steps, losses and limits for both encoders.

Three losses over a batch: InfoNCE in both directions (van den Oord et al. 2018), whose mates are
mined to resemble each other; the divergence between the encoder's and a teacher's similarities; and
the distance to the teacher's vectors through a linear map that is thrown away. A mate that the
teacher finds nearly as near as the true passage is no negative. Long batches have no teacher.
Trained are the adapters of the upper layers and the readout's projection.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from core.encoders.pooling import Readout
from core.encoders.spec import Attention
from core.errors import EncoderLoadError
from core.training.data import TokenBatch, TrainingPair, known_duplicates, tokenised
from core.training.network import AdaptedNetwork

Batches = Callable[[int], Sequence[TrainingPair]]
QUERY_PROMPT, PASSAGE_PROMPT = "query: ", "passage: "


@dataclass(frozen=True, slots=True)
class ContrastiveOptions:
    """Settings of stage 2.

    Attributes:
        query_tokens: Limit of queries.
        passage_tokens: Limit of passages.
        long_tokens: Limit of the passages of long batches.
        temperature: Divides similarities, the teacher's too.
        divergence_weight: Of the divergence from the teacher's similarities.
        distance_weight: Of the distance to the teacher's vectors.
        margin: A mate is a negative if the teacher's similarity lies this far below the true
            passage's.
        micro_tokens: Tokens in the network at once, padding included; batches of more are
            embedded twice (gradient caching, Gao et al. 2021).
        first_layer: Layers below it stay as stage 1 made them.
        precision: Compute type inside the network.
    """

    query_tokens: int = 48
    passage_tokens: int = 160
    long_tokens: int = 2048
    temperature: float = 0.05
    divergence_weight: float = 0.5
    distance_weight: float = 1.0
    margin: float = 0.05
    micro_tokens: int = 8192
    first_layer: int = 4
    precision: torch.dtype = torch.float32


def pooled_states(
    network: AdaptedNetwork, readout: Readout, batch: TokenBatch, *, attention: Attention
) -> Tensor:
    """Unit-RMS states of the last layer, pooled: ``(batch, hidden)`` float32."""
    ids = batch.token_ids.to(network.device)
    states, _ = network.states(
        ids,
        attention=attention,
        layers=readout.layers,
        attention_mask=batch.attention_mask.to(network.device),
    )
    shares = readout.shares(ids, batch.pooled.to(network.device))
    return torch.einsum("bl,bld->bd", shares, readout.normalised(states))


def stage_two(
    network: AdaptedNetwork,
    readout: Readout,
    *,
    attention: Attention,
    batches: Batches,
    tokenizer: Tokenizer,
    options: ContrastiveOptions,
    teacher: Mapping[str, Tensor] | None = None,
) -> tuple[dict[str, nn.Parameter], Callable[[int], tuple[dict[str, float], int]]]:
    """Parameters of stage 2 and its step, for `core.training.loop.train`.

    Args:
        network: After stage 1.
        readout: With a projection to start from.
        attention: How the encoder attends.
        batches: Pairs of a step, by its number; long ones have the source "long".
        tokenizer: The base's.
        options: Settings.
        teacher: Unit rows of the teacher by text; batches with other texts go without.
    """
    if readout.projection is None:
        msg = "Stage 2 starts from a projection; fit the readout first."
        raise EncoderLoadError(msg)
    projection = nn.Parameter(readout.projection.detach().clone().to(network.device))
    learned = replace(readout.to(network.device), projection=projection)
    chosen = network.trained(first=options.first_layer)
    del chosen["mask_vector"]
    network.learn_only(chosen.values())
    parameters = {**chosen, "projection": projection}
    width = len(next(iter(teacher.values()))) if teacher else 0
    to_teacher = nn.Parameter(torch.zeros(projection.shape[1], width))
    if teacher:
        nn.init.orthogonal_(to_teacher, generator=torch.Generator().manual_seed(0))
        parameters["to_teacher"] = to_teacher
    padding_id = int(network.backbone.config.pad_token_id or 0)
    device, autocast = network.device.type, options.precision is not torch.float32

    def embed(batch: TokenBatch) -> Tensor:
        with torch.autocast(device, dtype=options.precision, enabled=autocast):
            pooled = pooled_states(network, learned, batch, attention=attention)
        return nn.functional.normalize(learned.project(pooled.float()), dim=-1)

    def step(number: int) -> tuple[dict[str, float], int]:
        pairs = batches(number)
        is_long = pairs[0].source == "long"
        limits = (
            (QUERY_PROMPT, options.query_tokens),
            (PASSAGE_PROMPT, options.long_tokens if is_long else options.passage_tokens),
        )
        sides = [
            tokenised(
                texts, prompt=prompt, tokenizer=tokenizer, max_tokens=limit, padding_id=padding_id
            )
            for texts, (prompt, limit) in zip(
                ([pair.query for pair in pairs], [pair.positive for pair in pairs]),
                limits,
                strict=True,
            )
        ]
        wanted = _teacher_rows(pairs, teacher)
        losses: dict[str, float] = {}

        def loss_of(rows: Tensor) -> Tensor:
            half = len(pairs)
            similarities = rows[:half] @ rows[half:].T
            excluded = torch.from_numpy(known_duplicates(pairs)).to(rows.device)
            parts: dict[str, Tensor] = {}
            if wanted is not None:
                target = wanted[:half] @ wanted[half:].T
                near = target > target.diagonal()[:, None] - options.margin
                excluded = excluded | near.fill_diagonal_(fill_value=False)
                gap = divergence(similarities, target, temperature=options.temperature)
                parts["teacher similarities"] = options.divergence_weight * gap
                mapped = nn.functional.normalize(rows @ to_teacher, dim=-1)
                distance = 1 - (mapped * wanted).sum(-1).mean()
                parts["teacher vectors"] = options.distance_weight * distance
            parts["long" if is_long else "contrastive"] = info_nce(
                similarities, excluded=excluded, temperature=options.temperature
            )
            losses.update({name: float(value.detach()) for name, value in parts.items()})
            hit = similarities.argmax(dim=1) == torch.arange(half, device=rows.device)
            losses["first"] = float(hit.float().mean())
            return torch.stack(list(parts.values())).sum()

        chunks = [chunk for side in sides for chunk in _chunks(side, options.micro_tokens)]
        backward_in_chunks(chunks, embed, loss_of, cached=len(chunks) > len(sides))
        return losses, int(sum(int(side.attention_mask.sum()) for side in sides))

    return parameters, step


def _teacher_rows(
    pairs: Sequence[TrainingPair], teacher: Mapping[str, Tensor] | None
) -> Tensor | None:
    texts = [pair.query for pair in pairs] + [pair.positive for pair in pairs]
    if not teacher or any(text not in teacher for text in texts):
        return None
    return torch.stack([teacher[text] for text in texts])


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


def divergence(similarities: Tensor, wanted: Tensor, *, temperature: float) -> Tensor:
    """Kullback-Leibler divergence of the batch similarities from the teacher's, by rows."""
    return nn.functional.kl_div(
        nn.functional.log_softmax(similarities / temperature, dim=-1),
        nn.functional.log_softmax(wanted / temperature, dim=-1),
        log_target=True,
        reduction="batchmean",
    )


def backward_in_chunks(
    chunks: Sequence[TokenBatch],
    embed: Callable[[TokenBatch], Tensor],
    loss_of: Callable[[Tensor], Tensor],
    *,
    cached: bool,
) -> None:
    """Accumulate the gradients of a loss over all rows, with the memory of one chunk if cached.

    Gradient caching (Gao et al. 2021, section 3.2): embed without graph, take the loss's gradient
    at the embeddings, then embed chunk by chunk again and push that gradient through.
    """
    if not cached:
        torch.autograd.backward(loss_of(torch.cat([embed(chunk) for chunk in chunks])))
        return
    with torch.no_grad():
        rows = torch.cat([embed(chunk) for chunk in chunks])
    rows.requires_grad_()
    torch.autograd.backward(loss_of(rows))  # also reaches the map to the teacher
    gradient = rows.grad
    start = 0
    for chunk in chunks:
        again = embed(chunk)
        torch.autograd.backward(again, None if gradient is None else gradient[start:][: len(again)])
        start += len(again)


def _chunks(batch: TokenBatch, tokens: int) -> list[TokenBatch]:
    """Parts of a batch by rows, each trimmed to its own longest text."""
    size = max(1, tokens // batch.token_ids.shape[1])
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
