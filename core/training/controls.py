"""Controls of the bundled pair: what else could explain a figure, measured by the same code.

A control keeps a network of the pair and changes one thing: the direction of attention, the pooling,
the statistics of the readout, or whether there was any training. All of them go through
`core.evaluation.evaluate.evaluate_beir` and the CPU path of the arms. Controls that read the same
states share one pass through the network, because the pass is nearly the whole cost; every vector is
kept in a workspace under its encoder's fingerprint (weights, attention, pooling, limit, prompts), so
a run that is killed goes on where it was, and `python -m core evaluate` finds the arms' own vectors.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from core.encoders.backbone import Backbone, build_backbone, digest_of
from core.encoders.bundled import bundled_specs, load_bundled, merged, restored
from core.encoders.encoder import EncoderOptions, LoadedEncoder
from core.encoders.readout import Readout
from core.encoders.spec import Attention, EncoderSpec, Pooling, TextKind
from core.encoders.tokens import TextTokenizer, read_tokenizer
from core.errors import UnknownNameError, UsageError
from core.evaluation.evaluate import chosen_dataset, evaluate_beir
from core.evaluation.render import to_fields
from core.evaluation.significance import paired_difference
from core.library.embedding import encoder_facts, stored_under
from core.monitor import Progress, SilentMonitor, raise_if_stopped
from core.records import Family
from core.training.conversion import first_layers
from core.training.export import read_converted, read_readout
from core.training.network import ADAPTER_SCALE
from core.training.schedule import read_checkpoint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from core.evaluation.records import Evaluation, Measured
    from core.monitor import Monitor
    from core.store import Workspace

STATISTICS_PASSAGES = 256
STATISTICS_TOKENS = 512
_BLOCK_TOKENS = 16_384  # embedded between two writes: some ten seconds of one core
_HEAD_CHARS_PER_TOKEN = 16  # hardly any text has so few tokens
_TINY = 1e-6
_SIDES = {TextKind.QUERY: "queries", TextKind.PASSAGE: "passages"}


class Weights(StrEnum):
    """Which network a control runs."""

    DIFFUSION = "diffusion arm"
    AUTOREGRESSIVE = "autoregressive arm"
    BASE = "base, untrained"
    WORK = "working folder"
    CHECKPOINT = "working folder, float32 checkpoint"


class Statistics(StrEnum):
    """Where the readout's offset, scale and projection come from."""

    TRAINED = "as trained with the weights"
    PLAIN = "none: states at unit root mean square, no projection"
    CORPUS = "offset and scale from passages of the corpus"  # the projection as trained, if any


@dataclass(frozen=True, slots=True)
class Control:
    """One system to measure.

    Attributes:
        key: Its name on the command line.
        weights: Network.
        attention: None for the way that the weights were trained to attend.
        pooling: None for the trained readout's.
        statistics: Of the readout.
        family: Of the weights.
        name: Of the files in the working folder, where weights are from there.
        against: Key of the system that it is compared with; empty for the shipped arm of its family.
    """

    key: str
    weights: Weights
    attention: Attention | None = None
    pooling: Pooling | None = None
    statistics: Statistics = Statistics.TRAINED
    family: Family = Family.AUTOREGRESSIVE
    name: str = ""
    against: str = ""


CONTROLS = (
    Control("diffusion", Weights.DIFFUSION, family=Family.DIFFUSION),
    Control("autoregressive", Weights.AUTOREGRESSIVE),
    Control(
        "diffusion-plain-mean", Weights.DIFFUSION, pooling=Pooling.MEAN, family=Family.DIFFUSION
    ),
    Control(
        "diffusion-made-causal",
        Weights.DIFFUSION,
        attention=Attention.CAUSAL,
        family=Family.DIFFUSION,
    ),
    Control("autoregressive-plain-mean", Weights.AUTOREGRESSIVE, pooling=Pooling.MEAN),
    Control("autoregressive-last-token", Weights.AUTOREGRESSIVE, pooling=Pooling.LAST_TOKEN),
    # the arm's statistics are those of means; last tokens have others, and that alone may hurt
    Control(
        "autoregressive-last-token-restandardised",
        Weights.AUTOREGRESSIVE,
        pooling=Pooling.LAST_TOKEN,
        statistics=Statistics.CORPUS,
    ),
    Control(
        "autoregressive-mask-removed",
        Weights.AUTOREGRESSIVE,
        attention=Attention.BIDIRECTIONAL,
    ),
    Control("base-plain-mean", Weights.BASE, pooling=Pooling.MEAN, statistics=Statistics.PLAIN),
    Control("base-weighted-mean", Weights.BASE, statistics=Statistics.PLAIN),
    Control("base-weighted-mean-standardised", Weights.BASE, statistics=Statistics.CORPUS),
)


def chosen_controls(only: Sequence[str], named: Sequence[str] = ()) -> tuple[Control, ...]:
    """Return the systems to measure, the arms first.

    Args:
        only: Keys; none for all. Names of the working folder count as keys.
        named: ``NAME[:ATTENTION[:FAMILY[:AGAINST]]]`` for ``adapters_NAME.pt`` and
            ``final_NAME.pt`` of a working folder. Without more said, a name that begins with an
            arm's is of that family and attends as that arm; any other is taken for the
            autoregressive weights with the mask removed. AGAINST is the key of another chosen
            system to compare it with, where that is not the shipped arm of its family.

    Raises:
        UsageError: If an attention or a family is none.
        UnknownNameError: If a key is not known, or what a system is compared with is not chosen.
    """
    every = {control.key: control for control in (*CONTROLS, *map(_named, named))}
    unknown = [key for key in only if key not in every]
    if unknown:
        msg = f"There is no control {unknown[0]!r}. Known: {', '.join(every)}."
        raise UnknownNameError(msg)
    chosen = {key: control for key, control in every.items() if not only or key in only}
    for control in chosen.values():
        if control.against and control.against not in chosen:
            msg = (
                f"{control.key} is to be compared with {control.against!r}, which is not among "
                f"what is measured: {', '.join(chosen)}."
            )
            raise UnknownNameError(msg)
    return tuple(chosen.values())


def _named(stated: str) -> Control:
    name, attention, family, against = (*stated.split(":", 3), "", "", "")[:4]
    arm = next((one for one in _ARMS if name.startswith(one.value)), None)
    usual = Attention.CAUSAL if arm is Family.AUTOREGRESSIVE else Attention.BIDIRECTIONAL
    try:
        return Control(
            f"work-{name}" if name in {one.key for one in CONTROLS} else name,
            Weights.WORK,
            attention=Attention(attention) if attention else usual,
            family=Family(family) if family else arm or Family.AUTOREGRESSIVE,
            name=name,
            against=against,
        )
    except ValueError as exc:
        msg = f"--name {stated!r}: {exc}. Write NAME:bidirectional:autoregressive, for example."
        raise UsageError(msg) from exc


_ARMS = (Family.DIFFUSION, Family.AUTOREGRESSIVE)


# -- encoders ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Network:
    """What is loaded once for all controls with the same weights."""

    backbone: Backbone
    readout: Readout
    tokenizer: TextTokenizer
    digest: str


class ControlEncoders:
    """Makes the encoders of controls; equal weights are loaded once.

    Args:
        pair_folder: The bundled folder.
        work: Working folder of the recipe, for `Weights.WORK`.
        max_tokens: Limit of every system; 0 for the arms' own.
    """

    def __init__(self, pair_folder: Path, *, work: Path | None = None, max_tokens: int = 0) -> None:
        self._folder = pair_folder
        self._work = work
        self._specs = bundled_specs(pair_folder)
        self._options = EncoderOptions(max_tokens=max_tokens)
        self._networks: dict[tuple[Weights, str], _Network] = {}

    def encoder(
        self, control: Control, *, corpus: Sequence[str], workspace: Workspace | None = None
    ) -> LoadedEncoder:
        """Return a control's encoder.

        Args:
            control: What it shall be.
            corpus: Passages that `Statistics.CORPUS` may look at, in a fixed order.
            workspace: Where such statistics are kept, if anywhere.
        """
        network = self._network(control)
        spec = self._spec(control, network)
        if control.statistics is Statistics.TRAINED:
            return self._made(spec, network, network.readout.with_pooling(spec.pooling))
        plain = self._plain(network, spec.pooling)
        digest = _digest(network.digest, control.statistics.value)
        if control.statistics is Statistics.PLAIN:
            return self._made(spec, network, plain, digest=digest)
        trained = None if control.weights is Weights.BASE else network.readout.projection
        probe = LoadedEncoder(
            spec,
            backbone=network.backbone,
            readout=plain,
            tokenizer=network.tokenizer,
            weights_digest=digest,
            options=EncoderOptions(max_tokens=min(STATISTICS_TOKENS, self.max_tokens)),
        )
        sample = _sample(corpus)
        offset, scale = _statistics(probe, sample, workspace)
        readout = replace(plain, offset=offset, scale=scale, projection=trained)
        digest = _digest(digest, probe.fingerprint, *sample)
        return self._made(spec, network, readout, digest=digest)

    @property
    def max_tokens(self) -> int:
        """The limit that is asked for."""
        limit = min(spec.max_tokens for spec in self._specs.values())
        return self._options.max_tokens or limit

    def arm_id(self, family: Family) -> str:
        """Encoder id of a shipped arm."""
        return self._specs[family].encoder_id

    def _made(
        self, spec: EncoderSpec, network: _Network, readout: Readout, *, digest: str = ""
    ) -> LoadedEncoder:
        return LoadedEncoder(
            replace(spec, dimension=readout.dimension),
            backbone=network.backbone,
            readout=readout,
            tokenizer=network.tokenizer,
            weights_digest=digest or network.digest,
            options=self._options,
        )

    @staticmethod
    def _plain(network: _Network, pooling: Pooling) -> Readout:
        width = network.readout.matrix_shape[0]
        return replace(
            network.readout,
            offset=torch.zeros(width),
            scale=torch.ones(width),
            projection=None,
            pooling=pooling,
        )

    def _spec(self, control: Control, network: _Network) -> EncoderSpec:
        arm = self._specs[control.family]
        if control.key == control.family.value:
            return arm
        added = control.key.removeprefix(f"{control.family.value}-")
        shipped = control.weights in {Weights.DIFFUSION, Weights.AUTOREGRESSIVE}
        return replace(
            arm,
            encoder_id=f"{arm.encoder_id}-{added}" if shipped else control.key,
            label=control.key,
            attention=control.attention or arm.attention,
            pooling=control.pooling or network.readout.pooling,
        )

    def _network(self, control: Control) -> _Network:
        place = (control.weights, control.name)
        found = self._networks.get(place)
        if found is None:
            found = self._from_work(control) if control.name else self._from_pair(control)
            for attention in Attention:  # whichever way it is run later, it must go that way
                found.backbone.probe(attention, name=control.key)
            self._networks[place] = found
        return found

    def _from_pair(self, control: Control) -> _Network:
        adapted = control.weights is not Weights.BASE
        arm = load_bundled(self._folder, control.family, adapted=adapted)
        end = arm.fields.get("eos_token_id")
        return _Network(
            backbone=build_backbone("llama", arm.fields, arm.state, source=str(self._folder)),
            readout=arm.readout,
            tokenizer=TextTokenizer(
                arm.tokenizer,
                end_token=self._specs[control.family].appends_end_token,
                empty_token=end if isinstance(end, int) else 0,
            ),
            digest=arm.digest if adapted else _digest(arm.digest, "untrained"),
        )

    def _from_work(self, control: Control) -> _Network:
        name = control.name
        exact = control.weights is Weights.CHECKPOINT
        kind = "stage2" if exact else "adapters"
        if self._work is None:
            msg = f"{control.key} needs --work, the folder that holds {kind}_{name}.pt."
            raise UsageError(msg)
        adapters, final = (self._work / f"{kind}_{name}.pt" for kind in (kind, "final"))
        for path in (adapters, final):
            if not path.is_file():
                msg = f"{path} is not there. Run the contrast step with --name {name} first."
                raise UsageError(msg)
        readout = read_readout(final)
        base = read_converted(self._work)
        depth = max(readout.layers)
        tensors = (
            _checkpoint_adapters(adapters) if exact else torch.load(adapters, weights_only=True)
        )
        arrays = merged(
            restored(first_layers(base.arrays, depth)),
            {key: tensor.numpy() for key, tensor in tensors.items()},
        )
        fields = {**base.config, "num_hidden_layers": depth}
        state = {key: torch.from_numpy(array) for key, array in arrays.items()}
        tokenizer = read_tokenizer(self._work / "tokenizer.json")
        tokenizer.encode_special_tokens = True
        end = fields.get("eos_token_id")
        return _Network(
            backbone=build_backbone("llama", fields, state, source=str(self._work)),
            readout=readout,
            tokenizer=TextTokenizer(tokenizer, empty_token=end if isinstance(end, int) else 0),
            digest=digest_of([self._work / "base.safetensors", adapters, final]),
        )


def _checkpoint_adapters(path: Path) -> dict[str, torch.Tensor]:
    """Adapters of a stage 2 checkpoint in float32, their scale in ``up`` as in what is exported."""
    saved = read_checkpoint(path)["parameters"]
    return {
        key: tensor * ADAPTER_SCALE if key.endswith(".up") else tensor
        for key, tensor in saved.items()
        if key.endswith((".up", ".down"))
    }


def _sample(corpus: Sequence[str]) -> list[str]:
    """Some passages, the same ones every time."""
    order = np.random.default_rng(0).permutation(len(corpus))[:STATISTICS_PASSAGES]
    head = STATISTICS_TOKENS * _HEAD_CHARS_PER_TOKEN
    return [corpus[place][:head] for place in sorted(order.tolist())]


def _statistics(
    probe: LoadedEncoder, sample: Sequence[str], workspace: Workspace | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and one over the spread of pooled states: kept, so that a run that goes on has them."""
    name = f"controls-statistics-{_digest(probe.fingerprint, *sample)}"
    kept = None if workspace is None else workspace.fact(name)
    if kept is None:
        rows = probe.raw_embeddings(sample, kind=TextKind.PASSAGE)
        mean, spread = rows.mean(axis=0), rows.std(axis=0)
        kept = json.dumps([mean.tolist(), spread.tolist()])
        if workspace is not None:
            workspace.put_fact(name, kept)
    mean, spread = (np.array(values, dtype=np.float32) for values in json.loads(kept))
    return torch.from_numpy(mean), torch.from_numpy(1.0 / (spread + _TINY))


def _digest(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


# -- embedding -----------------------------------------------------------------------------


def groups_of(encoders: Sequence[LoadedEncoder]) -> list[list[LoadedEncoder]]:
    """Put encoders that can share a pass side by side."""
    groups: list[list[LoadedEncoder]] = []
    for encoder in encoders:
        home = next((group for group in groups if group[0].shares_pass_with(encoder)), None)
        if home is None:
            groups.append([encoder])
        else:
            home.append(encoder)
    return groups


@dataclass(frozen=True, slots=True, eq=False)
class _Pass:
    """Texts that one network has to read yet, longest first."""

    encoders: dict[str, LoadedEncoder]  # by the fingerprint that their vectors are kept under
    kind: TextKind
    texts: list[str]
    tokens: list[int]


def embed_together(
    workspace: Workspace,
    encoders: Sequence[LoadedEncoder],
    *,
    passages: Sequence[str],
    queries: Sequence[str],
    monitor: Monitor | None = None,
) -> int:
    """Embed what is missing, each network reading each text once, and keep it.

    Args:
        workspace: Where vectors are kept, block by block.
        encoders: Of any networks.
        passages: Without prompts.
        queries: Without prompts.
        monitor: Told of tokens read, speed and time left; asked whether to stop.

    Returns:
        Tokens that were read.

    Raises:
        StoppedError: If the monitor asks to stop; what was embedded before is kept.
    """
    monitor = monitor or SilentMonitor()
    passes = []
    for group in groups_of(encoders):
        for kind, texts in ((TextKind.QUERY, queries), (TextKind.PASSAGE, passages)):
            passes.append(_pass(workspace, group, kind, texts))
    total = sum(sum(one.tokens) for one in passes)
    done = 0
    started = time.monotonic()
    for one in passes:
        if not one.texts:
            continue
        lead, *others = one.encoders.values()
        who = ", ".join(encoder.spec.label for encoder in one.encoders.values())
        stage = f"embedding {_SIDES[one.kind]} for {who}"
        at = 0
        while at < len(one.texts):
            raise_if_stopped(monitor)
            end, tokens = at, 0
            while end < len(one.texts) and (end == at or tokens < _BLOCK_TOKENS):
                tokens += one.tokens[end]
                end += 1
            block = one.texts[at:end]
            rows = lead.encode_together(others, block, kind=one.kind)
            for (fingerprint, encoder), vectors in zip(one.encoders.items(), rows, strict=True):
                facts = encoder_facts(encoder)
                workspace.append(fingerprint, facts, block, vectors, kind=one.kind)
            at = end
            done += tokens
            speed = done / max(time.monotonic() - started, 1e-9)
            left = (total - done) / speed / 60
            monitor.report(
                Progress(
                    stage, done, total, f"tokens · {speed:,.0f} tokens/s · {left:.1f} min left"
                )
            )
    return done


def _pass(
    workspace: Workspace, group: Sequence[LoadedEncoder], kind: TextKind, texts: Sequence[str]
) -> _Pass:
    stored = {stored_under(encoder, kind=kind): encoder for encoder in group}
    lacking = {key: workspace.missing(key, texts, kind=kind) for key in stored}
    needed = sorted({place for places in lacking.values() for place in places})
    lead = group[0]
    head = lead.max_tokens * _HEAD_CHARS_PER_TOKEN
    found = lead.received([texts[place][:head] for place in needed], kind=kind)
    kept = [one.tokens_kept for one in found]
    order = sorted(range(len(needed)), key=lambda number: (-kept[number], number))
    return _Pass(
        encoders={key: stored[key] for key, places in lacking.items() if places},
        kind=kind,
        texts=[texts[needed[number]] for number in order],
        tokens=[kept[number] for number in order],
    )


# -- measuring -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredControls:
    """Figures of all systems, and what each of them is.

    Attributes:
        evaluation: As `evaluate_beir` gives it.
        controls: By system id.
        encoders: By system id.
        arm_ids: Encoder ids of the shipped arms.
        passes: System ids that shared a pass, pass by pass.
    """

    evaluation: Evaluation
    controls: Mapping[str, Control]
    encoders: Mapping[str, LoadedEncoder]
    arm_ids: Mapping[Family, str]
    passes: tuple[tuple[str, ...], ...]

    def to_fields(self) -> dict[str, Any]:
        """Return the JSON of ``evaluate --json`` with ``controls`` on top."""
        return {
            **to_fields(self.evaluation),
            "controls": [self._fields(system_id) for system_id in self.controls],
        }

    def _fields(self, system_id: str) -> dict[str, Any]:
        control, encoder = self.controls[system_id], self.encoders[system_id]
        others = {one.key: system for system, one in self.controls.items()}
        arm = others[control.against] if control.against else self.arm_ids[control.family]
        parts = [self.evaluation.whole, *self.evaluation.lengths]
        against = None
        if system_id != arm and self.evaluation.whole.system(arm) is not None:
            against = {
                "arm": arm,
                "difference": _difference(parts[0], system_id, arm),
                "lengths": [
                    {"length": part.length, "difference": _difference(part, system_id, arm)}
                    for part in parts[1:]
                ],
            }
        return {
            "id": system_id,
            "key": control.key,
            "weights": control.weights.value + (f": {control.name}" if control.name else ""),
            "family": control.family.value,
            "attention": encoder.spec.attention.value,
            "pooling": encoder.spec.pooling.value,
            "readout": control.statistics.value,
            "dimension": encoder.dimension,
            "max_tokens": encoder.max_tokens,
            "pass": next(n for n, ids in enumerate(self.passes, start=1) if system_id in ids),
            "fingerprint": encoder.fingerprint,
            "against": against,
        }


def _difference(part: Measured, system_id: str, arm: str) -> dict[str, dict[str, float]]:
    """Measure a control minus its arm, paired over queries."""
    one, other = part.system(system_id), part.system(arm)
    if one is None or other is None:  # pragma: no cover (both are in every part)
        return {}
    found = {
        name: paired_difference(values, other.per_query[name], part.clusters)
        for name, values in one.per_query.items()
    }
    return {
        name: {"value": d.value, "low": d.low, "high": d.high, "p_value": d.p_value}
        for name, d in found.items()
    }


def measure_controls(
    beir: Path,
    controls: Sequence[Control],
    makers: ControlEncoders,
    *,
    workspace: Workspace,
    lengths: Sequence[int] = (),
    sample: int | None = None,
    seed: int = 0,
    monitor: Monitor | None = None,
) -> MeasuredControls:
    """Measure controls on a folder in BEIR's layout.

    Args:
        beir: The folder.
        controls: What to measure; see `chosen_controls`.
        makers: Makes their encoders.
        workspace: Where vectors are kept.
        lengths: Only these nominal lengths.
        sample: Keep the relevant documents and this many minus those others; None for all.
        seed: Of sample, bootstrap and test.
        monitor: Told of the progress, asked whether to stop.
    """
    dataset = chosen_dataset(beir, lengths=lengths, sample=sample, seed=seed)
    passages = tuple(dataset.whole.documents.values())
    encoders = [
        makers.encoder(control, corpus=passages, workspace=workspace) for control in controls
    ]
    embed_together(
        workspace, encoders, passages=passages, queries=dataset.query_texts, monitor=monitor
    )
    evaluation = evaluate_beir(
        beir,
        encoders,
        lengths=lengths,
        sample=sample,
        seed=seed,
        workspace=workspace,
        monitor=monitor,
    )
    ids = [encoder.spec.encoder_id for encoder in encoders]
    return MeasuredControls(
        evaluation=evaluation,
        controls=dict(zip(ids, controls, strict=True)),
        encoders=dict(zip(ids, encoders, strict=True)),
        arm_ids={family: makers.arm_id(family) for family in _ARMS},
        passes=tuple(
            tuple(encoder.spec.encoder_id for encoder in group) for group in groups_of(encoders)
        ),
    )
