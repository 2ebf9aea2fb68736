"""Load a pretrained network and send tokens through it. No remote code, no pickle, strict.

A checkpoint is a folder with config.json and safetensors files. Its config is rewritten in memory to
a stock transformers class, its tensors are renamed by `core.encoders.names`, and every tensor has to
be there with the right shape, none more and none less, except those that the layout lists as no part
of an encoder.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open

from core.encoders.attention import attention_bias, probe_attention, stock_arguments
from core.encoders.json_files import CONFIG_FILE, read_json
from core.encoders.lean import LeanDecoder, lean_fits, plain_angles, plain_llama
from core.encoders.names import DECODER_ARCHITECTURES, CheckpointLayout, find_layout
from core.encoders.pooling import FINAL_LAYER
from core.encoders.spec import Attention
from core.errors import EncoderLoadError, EncoderUnavailableError, WeightsMismatchError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from torch import nn

STOCK_CLASSES: dict[str, tuple[str, str]] = {
    "llama": ("LlamaConfig", "LlamaModel"),
    "qwen2": ("Qwen2Config", "Qwen2Model"),
    "qwen3": ("Qwen3Config", "Qwen3Model"),
    "gpt2": ("GPT2Config", "GPT2Model"),
    "bert": ("BertConfig", "BertModel"),
    "roberta": ("RobertaConfig", "RobertaModel"),
    "xlm-roberta": ("XLMRobertaConfig", "XLMRobertaModel"),
}
WEIGHTS_FILE = "model.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"
_NAMES_SHOWN = 4
_HASH_CHUNK_BYTES = 1 << 22


@dataclass(frozen=True, slots=True, eq=False)
class StateBlock:
    """Some texts of a batch, after the backbone.

    Attributes:
        rows: Which texts of the batch they are.
        token_ids: ``(rows, length)`` int64; 0 on padding.
        attention_mask: ``(rows, length)`` int64, 1 = real token, right-padded.
        states: One ``(rows, length, hidden)`` tensor for each layer asked for.
    """

    rows: tuple[int, ...]
    token_ids: torch.Tensor
    attention_mask: torch.Tensor
    states: tuple[torch.Tensor, ...]


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What the strict loader found.

    Attributes:
        layout: The checkpoint's layout.
        matched: Tensors that run.
        ignored: Names of tensors that the layout leaves aside.
        digest: SHA-256 over the weights files.
    """

    layout: CheckpointLayout
    matched: int
    ignored: tuple[str, ...]
    digest: str


class Backbone:
    """A network with its weights on a device: tokens in, states out, any attention direction.

    Args:
        module: A stock model in evaluation mode, on ``device``.
        architecture: Key of `STOCK_CLASSES`.
        device: Where it is.
        lean: Take the stack over into the lean forward where that is possible (float32 on CPU).
    """

    def __init__(
        self, module: nn.Module, architecture: str, *, device: str, lean: bool = True
    ) -> None:
        config: Any = module.config
        self.architecture = architecture
        self.device = device
        self.hidden_size = int(config.hidden_size)
        self.depth = int(config.num_hidden_layers)
        self.vocabulary = int(config.vocab_size)
        self.max_positions = _usable_positions(architecture, config)
        parameter = next(module.parameters())
        self.dtype = parameter.dtype
        self.parameters = sum(weight.numel() for weight in module.parameters())
        self.tensors = len(module.state_dict())
        self._lock = threading.Lock()
        self._lean: LeanDecoder | None = None
        self._module: nn.Module | None = module
        if (
            lean
            and device == "cpu"
            and self.dtype == torch.float32
            and lean_fits(architecture, config)
        ):
            self._lean = LeanDecoder.from_module(module)
            self._module = None

    @classmethod
    def of_llama(
        cls, fields: Mapping[str, Any], tensors: dict[str, torch.Tensor], *, source: str
    ) -> Backbone | None:
        """Return a lean backbone on the CPU without any stock class, or None where that cannot be.

        Args:
            fields: Config fields; they must leave nothing to defaults (`plain_llama`).
            tensors: By stock name, float32. Emptied.
            source: Folder or id, for messages.

        Raises:
            WeightsMismatchError: If names or shapes differ.
        """
        plain = plain_llama(fields)
        if plain is None or any(tensor.dtype != torch.float32 for tensor in tensors.values()):
            return None
        shape, theta = plain
        found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        _require_same(shape.llama_tensors, found, source)
        made = cls.__new__(cls)
        made.architecture, made.device, made.dtype = "llama", "cpu", torch.float32
        made.hidden_size, made.depth = shape.hidden, shape.depth
        made.vocabulary, made.max_positions = shape.vocabulary, shape.positions
        made.parameters = sum(tensor.numel() for tensor in tensors.values())
        made.tensors = len(tensors)
        made._lock = threading.Lock()
        made._module = None
        made._lean = LeanDecoder(shape, tensors, plain_angles(shape.head_dim, theta))
        return made

    @property
    def is_lean(self) -> bool:
        """Whether the lean forward runs, which needs no padding."""
        return self._lean is not None

    def run(
        self,
        texts: Sequence[Sequence[int]],
        *,
        attention: Attention,
        layers: Sequence[int] = (FINAL_LAYER,),
    ) -> Iterator[StateBlock]:
        """Send token ids through the network.

        Args:
            texts: Token ids of each text, at least one each. Sorted by length they waste nothing.
            attention: Direction.
            layers: Wanted states as state indices (see `TokenReadout`).

        Yields:
            Blocks that together hold every text once.
        """
        with torch.inference_mode(), self._lock:
            blocks = (
                self._run_lean(self._lean, texts, attention, layers)
                if self._lean is not None
                else [self._run_stock(texts, attention, layers)]
            )
        yield from blocks

    def moved(self, device: str, dtype: torch.dtype) -> Backbone:
        """Return this network on another device; its weights go there and this one is used up.

        Raises:
            EncoderLoadError: If the lean forward has taken the network apart (``lean=False`` keeps
                it whole).
        """
        if self._module is None:
            msg = "The backbone has been taken apart and cannot be moved; load the encoder again."
            raise EncoderLoadError(msg)
        # first there, then the type: converting on the CPU would hold the weights twice
        module = self._module.to(device).to(dtype)
        return Backbone(module, self.architecture, device=device, lean=False)

    def probe(self, attention: Attention, *, name: str) -> None:
        """Prove that attention goes the way it should, on an unpadded and on a padded batch.

        Raises:
            AttentionProbeError: If it does not.
        """

        def states_of(texts: Sequence[Sequence[int]]) -> list[torch.Tensor]:
            found: dict[int, torch.Tensor] = {}
            for block in self.run(texts, attention=attention):
                for place, row in enumerate(block.rows):
                    found[row] = block.states[0][place, : len(texts[row])]
            return [found[row] for row in range(len(texts))]

        probe_attention(states_of, vocabulary=self.vocabulary, attention=attention, name=name)

    @staticmethod
    def _run_lean(
        stack: LeanDecoder,
        texts: Sequence[Sequence[int]],
        attention: Attention,
        layers: Sequence[int],
    ) -> list[StateBlock]:
        order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
        lengths = [len(texts[row]) for row in order]
        packed = torch.tensor([token for row in order for token in texts[row]], dtype=torch.int64)
        states = stack.run(packed, lengths, attention=attention, layers=layers)
        blocks = []
        first, start = 0, 0
        while first < len(order):
            length = lengths[first]
            last = first
            while last < len(order) and lengths[last] == length:
                last += 1
            count = last - first
            end = start + count * length
            blocks.append(
                StateBlock(
                    rows=tuple(order[first:last]),
                    token_ids=packed[start:end].view(count, length),
                    attention_mask=torch.ones(count, length, dtype=torch.int64),
                    states=tuple(layer[start:end].view(count, length, -1) for layer in states),
                )
            )
            first, start = last, end
        return blocks

    def _run_stock(
        self, texts: Sequence[Sequence[int]], attention: Attention, layers: Sequence[int]
    ) -> StateBlock:
        module = self._module
        if module is None:  # pragma: no cover (one of the two always exists)
            msg = "The backbone has been taken apart; load the encoder again."
            raise EncoderLoadError(msg)
        longest = max(len(text) for text in texts)
        token_ids = torch.zeros(len(texts), longest, dtype=torch.int64)
        mask = torch.zeros(len(texts), longest, dtype=torch.int64)
        for row, text in enumerate(texts):
            token_ids[row, : len(text)] = torch.tensor(text, dtype=torch.int64)
            mask[row, : len(text)] = 1
        padded = any(len(text) != longest for text in texts)
        token_ids, mask = token_ids.to(self.device), mask.to(self.device)
        arguments = self._stock_call(mask, attention, padded=padded)
        inner = [layer for layer in layers if layer != FINAL_LAYER]
        before_norm: list[torch.Tensor] = []
        hook = None
        norm = getattr(module, "norm", None) or getattr(module, "ln_f", None)
        if inner and norm is not None:

            def keep(_module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
                before_norm.append(inputs[0])

            # the stock classes put their final norm over the last entry of hidden_states
            hook = norm.register_forward_pre_hook(keep)
        try:
            output = module(
                input_ids=token_ids,
                output_hidden_states=bool(inner),
                **arguments,
            )
        finally:
            if hook is not None:
                hook.remove()
        every = list(output.hidden_states) if inner else []
        if before_norm:
            every[-1] = before_norm[0].view_as(every[-1])
        states = tuple(
            output.last_hidden_state if layer == FINAL_LAYER else every[layer] for layer in layers
        )
        return StateBlock(tuple(range(len(texts))), token_ids, mask, states)

    def _stock_call(
        self, mask: torch.Tensor, attention: Attention, *, padded: bool
    ) -> dict[str, Any]:
        """The arguments of a stock forward; encoder classes see both sides unless masked."""
        if self.architecture in DECODER_ARCHITECTURES:
            arguments = stock_arguments(mask, attention, self.dtype, padded=padded)
            return {**arguments, "use_cache": False}
        if attention is Attention.BIDIRECTIONAL:
            return {"attention_mask": mask if padded else None}
        return {"attention_mask": attention_bias(mask, attention, self.dtype)}


def load_backbone(
    folder: Path,
    *,
    architecture: str = "",
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    adapter: Path | None = None,
    lean: bool = True,
) -> tuple[Backbone, LoadReport]:
    """Load a checkpoint folder strictly.

    Args:
        folder: Holds config.json and safetensors weights, in one file or sharded with an index.
        architecture: What the spec says it is; "" takes what the config says.
        device: ``cpu``, ``cuda:0``, ``mps``.
        dtype: Of the weights while they run.
        adapter: A PEFT LoRA folder to merge.
        lean: See `Backbone`.

    Raises:
        EncoderUnavailableError: If a file is missing.
        EncoderLoadError: If the config means a network that no stock class computes.
        WeightsMismatchError: If a tensor is missing, extra or of another shape, or a file is not
            safetensors.
    """
    config = read_json(folder / CONFIG_FILE)
    files = weight_files(folder)
    names = {name: path for path in files for name in _tensor_names(path)}
    layout = find_layout(str(config.get("model_type", "")), names)
    if architecture and layout.architecture != architecture:
        msg = f"{folder} is a {layout.architecture} checkpoint, not {architecture} as stated."
        raise EncoderLoadError(msg)
    renamed: dict[str, str] = {}
    ignored = []
    for name in names:
        stock = layout.stock_name(name)
        if stock is None:
            ignored.append(name)
        elif stock in renamed:
            msg = f"{folder}: {name} and {renamed[stock]} are the same tensor, {stock}."
            raise WeightsMismatchError(msg)
        else:
            renamed[stock] = name
    fields = layout.stock_fields(config)
    if layout.vocabulary_from_tensor:
        source = renamed.get("wte.weight") or renamed.get("embed_tokens.weight")
        if source is not None:
            fields["vocab_size"] = _shape(names[source], source)[0]
    tensors = _read_tensors(renamed, names, dtype)
    if adapter is not None:
        from core.encoders.adapters import merge_adapter  # it reads safetensors only when asked to

        merge_adapter(tensors, adapter, transposed=layout.architecture == "gpt2")
    backbone = build_backbone(
        layout.architecture, fields, tensors, source=str(folder), device=device, lean=lean
    )
    report = LoadReport(layout, len(renamed), tuple(sorted(ignored)), digest_of(files))
    return backbone, report


def build_backbone(
    architecture: str,
    fields: Mapping[str, Any],
    tensors: dict[str, torch.Tensor],
    *,
    source: str,
    device: str = "cpu",
    lean: bool = True,
) -> Backbone:
    """Put tensors into a stock class, strictly; every arm gets a config object of its own.

    Args:
        architecture: Key of `STOCK_CLASSES`.
        fields: Config fields of the stock class.
        tensors: By stock name, in the dtype that runs. Emptied, so that nothing lies in memory
            twice.
        source: Folder or id, for messages.
        device: Where it shall run.
        lean: See `Backbone`.

    Raises:
        EncoderLoadError: If the config is refused or asks for anything but full attention.
        WeightsMismatchError: If names or shapes differ.
    """
    if architecture == "llama" and lean and device == "cpu":
        backbone = Backbone.of_llama(fields, tensors, source=source)
        if backbone is not None:
            return backbone
    config_class, model_class = stock_classes(architecture)
    try:
        config = config_class(**fields)
    except (TypeError, ValueError, KeyError) as exc:
        msg = f"{source}: {CONFIG_FILE} is not a {architecture} configuration: {exc}"
        raise EncoderLoadError(msg) from exc
    sliding = set(getattr(config, "layer_types", None) or ()) - {"full_attention"}
    if sliding:
        msg = f"{source}: layers with {', '.join(sorted(sliding))} are not supported."
        raise EncoderLoadError(msg)
    config._attn_implementation = "sdpa"
    options = {} if architecture in DECODER_ARCHITECTURES else {"add_pooling_layer": False}
    with torch.device("meta"):
        module = model_class(config, **options)
    expected = {name: tuple(weight.shape) for name, weight in module.state_dict().items()}
    _require_same(expected, {name: tuple(t.shape) for name, t in tensors.items()}, source)
    module.load_state_dict(tensors, strict=True, assign=True)
    tensors.clear()
    _restore_constants(module, config)
    module.to(device)
    module.eval().requires_grad_(requires_grad=False)
    return Backbone(module, architecture, device=device, lean=lean)


def stock_classes(architecture: str) -> tuple[Any, Any]:
    """Return the stock config and model class of an architecture."""
    import transformers  # seconds to import, and the bundled pair on a CPU needs none of it

    config_name, model_name = STOCK_CLASSES[architecture]
    return getattr(transformers, config_name), getattr(transformers, model_name)


def _require_same(
    expected: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]], source: str
) -> None:
    missing = sorted(expected.keys() - found.keys())
    extra = sorted(found.keys() - expected.keys())
    wrong = sorted(name for name in expected.keys() & found.keys() if expected[name] != found[name])
    problems = []
    if missing:
        problems.append(f"missing: {_listed(missing)}")
    if extra:
        problems.append(f"not part of the architecture: {_listed(extra)}")
    if wrong:
        shapes = [f"{name} is {found[name]}, should be {expected[name]}" for name in wrong]
        problems.append(f"wrong shape: {_listed(shapes)}")
    if problems:
        msg = (
            f"{source}: the weights do not match their config ({'; '.join(problems)}). "
            "Download the checkpoint again, or check that it is what it says it is."
        )
        raise WeightsMismatchError(msg)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_NAMES_SHOWN])
    more = len(names) - _NAMES_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def _restore_constants(module: nn.Module, config: Any) -> None:  # noqa: ANN401 (stock configs)
    """Make the buffers that checkpoints do not hold; they were laid out on the meta device."""
    rotary = getattr(module, "rotary_emb", None)
    if rotary is not None:
        module.rotary_emb = type(rotary)(config=config)
    embeddings = getattr(module, "embeddings", None)
    for name in ("position_ids", "token_type_ids"):
        buffer = getattr(embeddings, name, None)
        if buffer is not None and embeddings is not None:
            length = buffer.shape[1]
            value = torch.arange(length) if name == "position_ids" else torch.zeros(length)
            embeddings.register_buffer(name, value[None, :].long(), persistent=False)
    left = [name for name, buffer in module.named_buffers() if buffer.is_meta]
    if left:
        msg = f"The stock class has constants that Bifocal does not know: {_listed(left)}."
        raise EncoderLoadError(msg)


def _usable_positions(architecture: str, config: Any) -> int:  # noqa: ANN401 (stock configs)
    positions = int(config.max_position_embeddings)
    # RoBERTa counts positions from pad_token_id + 1
    return positions - int(config.pad_token_id) - 1 if "roberta" in architecture else positions


def weight_files(folder: Path) -> tuple[Path, ...]:
    """Return a checkpoint's safetensors files.

    Raises:
        EncoderUnavailableError: If there are none, or a shard is missing.
    """
    single, index = folder / WEIGHTS_FILE, folder / WEIGHTS_INDEX
    if single.is_file():
        return (single,)
    if index.is_file():
        weight_map = read_json(index).get("weight_map", {})
        shards = sorted({str(name) for name in weight_map.values()})
        paths = tuple(folder / name for name in shards)
        for path in paths:
            if path.parent != folder or not path.is_file():
                msg = f"{path.name}, named in {index}, is not there. Download it again."
                raise EncoderUnavailableError(msg)
        return paths
    pickles = sorted(path.name for path in folder.glob("*.bin"))
    why = (
        f" It holds {pickles[0]}, which Bifocal does not open: it can run code." if pickles else ""
    )
    msg = f"{folder} holds no {WEIGHTS_FILE}.{why} Use a checkpoint saved as safetensors."
    raise EncoderUnavailableError(msg)


def digest_of(files: Sequence[Path]) -> str:
    """SHA-256 over files, in order, hex."""
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as stream:
            while chunk := stream.read(_HASH_CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()


def _tensor_names(path: Path) -> list[str]:
    try:
        with safe_open(path, framework="pt") as file:
            return list(file.keys())
    except (SafetensorError, OSError) as exc:
        msg = f"{path} is not a whole safetensors file: {exc}. Download it again."
        raise WeightsMismatchError(msg) from exc


def _shape(path: Path, name: str) -> tuple[int, ...]:
    with safe_open(path, framework="pt") as file:
        return tuple(file.get_slice(name).get_shape())


def _read_tensors(
    renamed: Mapping[str, str], names: Mapping[str, Path], dtype: torch.dtype
) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = {}
    for path in sorted(set(names.values())):
        with safe_open(path, framework="pt") as file:
            for stock, name in renamed.items():
                if names[name] == path:
                    tensors[stock] = file.get_tensor(name).to(dtype)
    return tensors
