"""Commands that make the pair: convert, adapt, prepare, contrast, export."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from core.encoders.spec import Pooling
from core.records import Family
from core.training import corpus, preparation
from core.training.adaptation import AdaptationOptions, adapt
from core.training.cli.common import (
    HELD_OUT,
    Adapted,
    Arm,
    Budget,
    Device,
    EchoMonitor,
    KeptName,
    Layers,
    LearningRate,
    OtherAttention,
    Pairs,
    Rank,
    Seed,
    Steps,
    Teacher,
    TeacherWeight,
    Until,
    Work,
    adapted_network,
    base_tokenizer,
    precision,
)
from core.training.contrastive import ContrastiveOptions, contrast
from core.training.conversion import convert
from core.training.export import (
    ATTENTION,
    TrainedArm,
    export,
    read_converted,
    read_readout,
    write_converted,
    write_readout,
)
from core.training.pairs import long_batches, neighbour_batches
from core.training.schedule import Log, Schedule
from core.training.teacher import CachingTeacher

_CHARS_PER_TOKEN = 4  # of English, roughly; the token limit cuts what is over


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("convert")(convert_command)
    app.command("adapt")(adapt_command)
    app.command("prepare")(prepare_command)
    app.command("contrast")(contrast_command)
    app.command("export")(export_command)


def convert_command(
    *,
    gguf: Annotated[Path, typer.Option(help="SmolLM2-135M-Instruct.Q4_1.gguf")],
    work: Work,
    texts: Annotated[Path, typer.Option(help="Folder of *.txt.gz to adapt on.")],
    chars: Annotated[int, typer.Option(help="Characters read of the encyclopaedia.")] = 16_000_000,
    chars_others: Annotated[
        int, typer.Option(help="Characters read of any other file.")
    ] = 1_000_000,
) -> None:
    """Convert the base, tokenise the texts, and weigh the vocabulary."""
    base = convert(gguf)
    write_converted(work, base)
    tokenizer = base_tokenizer(base.tokenizer_json)
    paths = corpus.text_files(texts)
    wide = [path for path in paths if path.name.startswith("wikipedia")]
    others = [path for path in paths if path not in wide]
    stream = np.concatenate(
        [
            corpus.token_stream(wide, tokenizer, chars_per_file=chars),
            corpus.token_stream(others, tokenizer, chars_per_file=chars_others),
        ]
    )
    np.save(work / "stream.npy", stream)
    vocabulary = int(str(base.config["vocab_size"]))
    np.save(work / "weights.npy", corpus.token_weights(stream, vocabulary=vocabulary, window=256))
    typer.echo(f"{len(stream):,} tokens of text in {work}")


def adapt_command(
    *,
    work: Work,
    arm: Arm,
    steps: Steps = 240,
    batch: Annotated[int, typer.Option(help="Sequences a step.")] = 8,
    micro_batch: Annotated[int, typer.Option(help="Sequences in the network at once.")] = 8,
    length: Annotated[int, typer.Option(help="Tokens a sequence (packed, no padding).")] = 128,
    rank: Rank = 32,
    learning_rate: LearningRate = 1e-3,
    token_loss_every: Annotated[int, typer.Option(help="Full-depth step every n-th step.")] = 3,
    dense_weight: Annotated[
        float, typer.Option(help="Of the dense loss; 0 for the ablation.")
    ] = 1.0,
    layers: Layers = "0,2,4,6,8",
    budget_minutes: Budget = None,
    until: Until = None,
    device: Device = "cpu",
    seed: Seed = 0,
) -> None:
    """Stage 1: masked denoising under full attention, or next-token training."""
    network = adapted_network(work, rank=rank, seed=seed, device=device)
    sequences = corpus.windows(np.load(work / "stream.npy"), length=length, seed=seed)
    plain = preparation.plain_readout(
        layers=_layer_list(layers),
        hidden=int(network.backbone.config.hidden_size),
        token_weights=np.load(work / "weights.npy"),
    )
    readout = preparation.token_statistics(network, plain, sequences[-HELD_OUT:])
    log = adapt(
        network,
        arm,
        sequences[:-HELD_OUT],
        readout=readout,
        options=AdaptationOptions(
            batch=batch,
            micro_batch=micro_batch,
            token_loss_every=token_loss_every,
            dense_weight=dense_weight,
            seed=seed,
            precision=precision(device),
        ),
        schedule=Schedule(
            steps=steps, learning_rate=learning_rate, budget_minutes=budget_minutes, until=until
        ),
        checkpoint=work / f"stage1_{arm.value}.pt",
        monitor=EchoMonitor(),
    )
    _write_log(work / f"stage1_{arm.value}.json", log)


def prepare_command(
    *,
    work: Work,
    arm: Arm,
    pairs: Pairs,
    count: Annotated[int, typer.Option(help="Pairs to take statistics of.")] = 4000,
    dimension: Annotated[int, typer.Option(help="Of the embedding.")] = 768,
    shrinkage: Annotated[float, typer.Option(help="Of the within-pair covariance.")] = 1.0,
    steps: Annotated[int, typer.Option(help="Of learning the projection further.")] = 0,
    batch: Annotated[int, typer.Option(help="Pairs a step.")] = 512,
    learning_rate: Annotated[float, typer.Option(help="Of the projection, relative.")] = 0.02,
    pull: Annotated[float, typer.Option(help="Pull towards the closed form.")] = 1.0,
    rank: Rank = 32,
    layers: Layers = "0,2,4,6,8",
    teacher: Teacher = None,
    teacher_weight: TeacherWeight = 1.0,
    attention: OtherAttention = None,
    pooling: Annotated[Pooling, typer.Option(help="Another one, for controls.")] = (
        Pooling.WEIGHTED_MEAN
    ),
    adapted: Adapted = True,
    name: KeptName = "",
    device: Device = "cpu",
    seed: Seed = 0,
) -> None:
    """Fix the readout's statistics and learn a first projection, backbone untouched."""
    torch.manual_seed(seed)
    layer_list = _layer_list(layers)
    network = adapted_network(
        work,
        rank=rank,
        seed=seed,
        device=device,
        depth=max(layer_list),
        stage1=arm if adapted else None,
    )
    readout = preparation.plain_readout(
        layers=layer_list,
        hidden=int(network.backbone.config.hidden_size),
        token_weights=np.load(work / "weights.npy"),
        pooling=pooling,
    )
    chosen = corpus.read_pairs(pairs, corpus.PAIR_CAPS, seed=seed)
    order = np.random.default_rng(seed).permutation(len(chosen))[:count]
    sample = [chosen[place] for place in order]
    options = ContrastiveOptions()
    tokenizer = base_tokenizer(read_converted(work).tokenizer_json)
    kept = work / f"pooled_{name or arm.value}.pt"
    rows: list[torch.Tensor] = torch.load(kept, weights_only=True) if kept.exists() else []
    sides = (
        ([pair.query for pair in sample], options.query_prompt, options.query_tokens),
        ([pair.positive for pair in sample], options.passage_prompt, options.passage_tokens),
    )
    for texts, prompt, limit in sides[len(rows) :]:
        rows.append(
            preparation.pooled_states(
                network,
                readout,
                texts,
                prompt=prompt,
                attention=attention or ATTENTION[arm],
                tokenizer=tokenizer,
                max_tokens=limit,
                precision=precision(device),
            )
        )
        typer.echo(f"{len(texts)} texts embedded")
        torch.save(rows, kept)
    readout = preparation.standardised_on(readout, torch.cat(rows))
    queries, passages = (readout.project(pooled) for pooled in rows)
    wanted = None
    if teacher is not None:
        vectors = CachingTeacher(teacher, work / "teacher.npz", device=device)
        wanted = (
            vectors([pair.query for pair in sample]),
            vectors([pair.positive for pair in sample]),
        )
        vectors.save()
    start = preparation.discriminant_projection(
        queries, passages, dimension=dimension, shrinkage=shrinkage
    )
    projection = preparation.learned_projection(
        start,
        queries,
        passages,
        sources=[pair.source for pair in sample],
        steps=steps,
        batch=batch,
        learning_rate=learning_rate,
        temperature=options.temperature,
        teacher=wanted,
        teacher_weight=teacher_weight,
        pull=pull,
        seed=seed,
    )
    write_readout(
        work / f"readout_{name or arm.value}.pt", preparation.with_projection(readout, projection)
    )


def contrast_command(
    *,
    work: Work,
    arm: Arm,
    pairs: Pairs,
    steps: Steps = 100,
    batch: Annotated[int, typer.Option(help="Pairs a step.")] = 64,
    group: Annotated[int, typer.Option(help="Pairs that are mined to resemble each other.")] = 4,
    micro_batch: Annotated[int, typer.Option(help="Texts in the network at once.")] = 64,
    long_every: Annotated[int, typer.Option(help="Every n-th step has long pairs; 0: none.")] = 12,
    long_batch: Annotated[int, typer.Option(help="Pairs of a long step.")] = 8,
    long_tokens: Annotated[
        str, typer.Option(help="Tokens of long passages, step by step in turn, with commas.")
    ] = "1024,2048,4096",
    passage_tokens: Annotated[int, typer.Option(help="Tokens of a passage.")] = 128,
    learning_rate: LearningRate = 5e-4,
    rank: Rank = 32,
    first_layer: Annotated[int, typer.Option(help="Leave the layers below it as they are.")] = 0,
    in_full: Annotated[
        bool, typer.Option("--in-full", help="Train the matrices, not adapters; not for export.")
    ] = False,
    teacher: Teacher = None,
    teacher_weight: TeacherWeight = 1.0,
    attention: OtherAttention = None,
    adapted: Adapted = True,
    name: KeptName = "",
    budget_minutes: Budget = None,
    until: Until = None,
    device: Device = "cpu",
    seed: Seed = 0,
) -> None:
    """Stage 2: contrastive training of adapters and projection."""
    called = name or arm.value
    long_lengths = [int(length) for length in long_tokens.split(",")]
    readout = read_readout(work / f"readout_{called}.pt")
    depth = max(readout.layers)
    network = adapted_network(
        work, rank=rank, seed=seed, device=device, depth=depth, stage1=arm if adapted else None
    )
    options = ContrastiveOptions(
        passage_tokens=passage_tokens,
        long_tokens=max(long_lengths),
        teacher_weight=teacher_weight if teacher is not None else 0.0,
        micro_batch=micro_batch,
        precision=precision(device),
        first_layer=first_layer,
        in_full=in_full,
    )
    vectors = (
        None if teacher is None else CachingTeacher(teacher, work / "teacher.npz", device=device)
    )
    trained, log = contrast(
        network,
        readout,
        attention=attention or ATTENTION[arm],
        batches=_batches(
            corpus.read_pairs(pairs, corpus.PAIR_CAPS, seed=seed),
            steps=steps,
            batch=batch,
            group=group,
            long_every=long_every,
            long_batch=long_batch,
            long_tokens=long_lengths,
            seed=seed,
        ),
        tokenizer=base_tokenizer(read_converted(work).tokenizer_json),
        options=options,
        schedule=Schedule(
            steps=steps, learning_rate=learning_rate, budget_minutes=budget_minutes, until=until
        ),
        checkpoint=work / f"stage2_{called}.pt",
        teacher=vectors,
        monitor=EchoMonitor(),
    )
    if vectors is not None:
        vectors.save()
    torch.save(
        {key: torch.from_numpy(array) for key, array in network.exported(layers=depth).items()},
        work / f"adapters_{called}.pt",
    )
    write_readout(work / f"final_{called}.pt", trained)
    _write_log(work / f"stage2_{called}.json", log)


def export_command(
    *,
    work: Work,
    out: Annotated[Path, typer.Option(help="Folder that ships.")],
    trained_on: Annotated[str, typer.Option(help="One sentence; {family} is replaced.")],
    max_tokens: Annotated[int, typer.Option(help="Limit of both arms.")] = 4096,
) -> None:
    """Write base, adapters, readouts and manifest."""
    options = ContrastiveOptions()
    arms = {}
    for family in (Family.DIFFUSION, Family.AUTOREGRESSIVE):
        tensors = torch.load(work / f"adapters_{family.value}.pt", weights_only=True)
        arms[family] = TrainedArm(
            adapters={key: tensor.numpy() for key, tensor in tensors.items()},
            readout=read_readout(work / f"final_{family.value}.pt"),
            trained_on=trained_on.replace("{family}", family.value),
        )
    export(
        out,
        base=read_converted(work),
        arms=arms,
        query_prompt=options.query_prompt,
        passage_prompt=options.passage_prompt,
        max_tokens=max_tokens,
        licence="Apache-2.0",
    )
    total = sum(path.stat().st_size for path in out.iterdir())
    typer.echo(f"{out}: {total / 1e6:.1f} MB")


def _batches(
    pairs: list[corpus.TrainingPair],
    *,
    steps: int,
    batch: int,
    group: int,
    long_every: int,
    long_batch: int,
    long_tokens: list[int],
    seed: int,
) -> list[list[corpus.TrainingPair]]:
    """The steps' pairs in order: mined batches, with a batch of long pairs now and then."""
    # Mining takes longer than a short run on a CPU; twice the pairs needed leave it a choice.
    order = np.random.default_rng(seed).permutation(len(pairs))[: 2 * steps * batch]
    pairs = [pairs[place] for place in order]
    short = neighbour_batches(pairs, batch=batch, group=group, seed=seed)
    lengthened = long_batches(
        pairs,
        count=steps // long_every if long_every else 0,
        batch=long_batch,
        lengths=[length * _CHARS_PER_TOKEN for length in long_tokens],
        seed=seed,
    )
    ordered = []
    taken = 0
    for step in range(steps):
        if long_every and step % long_every == long_every - 1:
            ordered.append(lengthened[step // long_every])
        else:
            ordered.append([pairs[place] for place in short[taken % len(short)]])
            taken += 1
    return ordered


def _layer_list(layers: str) -> tuple[int, ...]:
    return tuple(int(layer) for layer in layers.split(","))


def _write_log(path: Path, log: Log) -> None:
    path.write_text(
        json.dumps(
            {
                "steps": log.step,
                "tokens": log.tokens,
                "seconds": log.seconds,
                "losses": log.losses,
            }
        ),
        encoding="utf-8",
    )
