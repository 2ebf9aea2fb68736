"""The network that is trained: a frozen base with a low-rank adapter on every matrix."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaModel
from typing_extensions import override

from core.encoders.bundled import Arrays
from core.encoders.spec import Attention
from core.errors import EncoderLoadError, WeightsMismatchError

ADAPTED = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
ADAPTER_SCALE = 2.0  # of ``up @ down``


class AdaptedLinear(nn.Module):
    """A frozen matrix plus ``scale * up @ down``, as in LoRA (Hu et al. 2021, section 4.1)."""

    def __init__(self, frozen: nn.Linear, *, rank: int, generator: torch.Generator) -> None:
        """Start as the frozen matrix: ``up`` is zero."""
        super().__init__()
        self.frozen = frozen
        bound = 1.0 / math.sqrt(frozen.in_features)
        down = torch.empty(rank, frozen.in_features).uniform_(-bound, bound, generator=generator)
        self.down = nn.Parameter(down)
        self.up = nn.Parameter(torch.zeros(frozen.out_features, rank))
        self.active = True

    @override
    def forward(self, inputs: Tensor) -> Tensor:
        """Apply the matrix and, unless switched off, its adapter."""
        outputs: Tensor = self.frozen(inputs)
        if not self.active:
            return outputs
        low = nn.functional.linear(inputs, self.down)
        return outputs + ADAPTER_SCALE * nn.functional.linear(low, self.up)


class AdaptedNetwork(nn.Module):
    """A stock Llama with adapters, a mask vector, and the tied output matrix.

    The same object is the frozen base (inside `adapters_off`) and the encoder that is trained, so the
    base's targets cost no second copy in memory.
    """

    def __init__(
        self,
        config: Mapping[str, object],
        weights: Arrays,
        *,
        rank: int,
        seed: int,
    ) -> None:
        """Build, load strictly, freeze, adapt.

        Args:
            config: Arguments of ``LlamaConfig``.
            weights: De-quantised tensors, named as in ``LlamaModel.state_dict()``.
            rank: Of every adapter.
            seed: Of their initial values.

        Raises:
            WeightsMismatchError: If a tensor is missing, unknown or of another shape.
        """
        super().__init__()
        fields: dict[str, Any] = {**config, "attn_implementation": "sdpa"}
        self.backbone = LlamaModel(LlamaConfig(**fields))
        state = {name: torch.from_numpy(array) for name, array in weights.items()}
        try:
            self.backbone.load_state_dict(state, strict=True)
        except RuntimeError as exc:
            msg = f"The base does not fit its configuration: {exc}"
            raise WeightsMismatchError(msg) from exc
        self.requires_grad_(requires_grad=False)
        self.depth = int(self.backbone.config.num_hidden_layers)
        generator = torch.Generator().manual_seed(seed)
        for layer in self.backbone.layers:
            for block in (layer.self_attn, layer.mlp):
                for name in ADAPTED:
                    frozen = getattr(block, name, None)
                    if isinstance(frozen, nn.Linear):
                        adapted = AdaptedLinear(frozen, rank=rank, generator=generator)
                        setattr(block, name, adapted)
        embeddings = self.backbone.embed_tokens.weight
        self.mask_vector = nn.Parameter(embeddings.mean(dim=0).clone())

    @property
    def device(self) -> torch.device:
        """Device of the parameters."""
        return self.mask_vector.device

    def adapters(self) -> dict[str, AdaptedLinear]:
        """Adapted matrices by their name in ``LlamaModel``."""
        return {
            name: module
            for name, module in self.backbone.named_modules()
            if isinstance(module, AdaptedLinear)
        }

    def trained(self, *, layers: int | None = None, first: int = 0) -> dict[str, nn.Parameter]:
        """Parameters to train: adapters of layers ``first`` to ``layers``, and the mask vector."""
        chosen: dict[str, nn.Parameter] = {"mask_vector": self.mask_vector}
        for name, module in self._adapted(layers, first).items():
            chosen[f"{name}.down"] = module.down
            chosen[f"{name}.up"] = module.up
        return chosen

    def _adapted(self, layers: int | None, first: int) -> dict[str, AdaptedLinear]:
        last = self.depth if layers is None else layers
        return {
            name: module
            for name, module in self.adapters().items()
            if first <= int(name.split(".")[1]) < last
        }

    def learn_only(self, parameters: Iterable[nn.Parameter]) -> None:
        """Take gradients of those alone; below the first layer that learns nothing flows back."""
        chosen = {id(parameter) for parameter in parameters}
        for parameter in self.parameters():
            parameter.requires_grad_(id(parameter) in chosen)

    def switch_adapters(self, *, active: bool) -> None:
        """Run as the encoder (True) or as the frozen base (False)."""
        for module in self.adapters().values():
            module.active = active

    def states(
        self,
        token_ids: Tensor,
        *,
        attention: Attention,
        layers: Sequence[int],
        attention_mask: Tensor | None = None,
        masked: Tensor | None = None,
        depth: int | None = None,
    ) -> tuple[list[Tensor], Tensor]:
        """Run the network.

        Args:
            token_ids: ``(batch, length)``.
            attention: Which tokens a token sees.
            layers: Points of the residual stream to return.
            attention_mask: ``(batch, length)``, 1 for real tokens, which come first; None: all.
            masked: ``(batch, length)`` bool: these tokens are replaced by the mask vector.
            depth: Run this many layers only.

        Returns:
            The states asked for, and the last state after the final norm.
        """
        if attention is Attention.BACKWARD:
            msg = "Training knows causal and bidirectional attention only."
            raise EncoderLoadError(msg)
        inputs = self.backbone.embed_tokens(token_ids)
        if masked is not None:
            inputs = torch.where(masked[..., None], self.mask_vector.to(inputs.dtype), inputs)
        self.backbone.config.num_hidden_layers = depth or self.depth
        try:
            inner = [layer for layer in layers if layer > 0]
            with tapped_layers(self.backbone, inner or [1]) as found:
                final = self.backbone(
                    inputs_embeds=inputs,
                    attention_mask=attention_mask,
                    is_causal=attention is Attention.CAUSAL,
                    use_cache=False,
                ).last_hidden_state
                kept = dict(zip(inner, found, strict=False))
        finally:
            self.backbone.config.num_hidden_layers = self.depth
        return [inputs if layer == 0 else kept[layer] for layer in layers], final

    def logits(self, final: Tensor) -> Tensor:
        """Scores over the vocabulary, through the tied output matrix: ``(..., vocabulary)``."""
        return nn.functional.linear(final, self.backbone.embed_tokens.weight)

    def merged(self, *, layers: int) -> dict[str, Tensor]:
        """The first layers with their adapters merged, for a stock ``LlamaModel`` of that depth."""
        adapters = self.adapters()
        state: dict[str, Tensor] = {}
        for name, tensor in self.backbone.state_dict().items():
            place = name.split(".")
            if (place[0] == "layers" and int(place[1]) >= layers) or place[-1] in {"up", "down"}:
                continue
            stem = name.removesuffix(".frozen.weight")
            if stem == name:
                state[name] = tensor.detach().clone()
                continue
            module = adapters[stem]
            added = ADAPTER_SCALE * (module.up @ module.down) if module.active else 0.0
            state[f"{stem}.weight"] = (tensor + added).detach()
        return state

    def exported(self, *, layers: int) -> Arrays:
        """Adapters of the first layers as ``X.down`` and ``X.up`` float16, scaling included."""
        arrays: Arrays = {}
        for name, module in self._adapted(layers, 0).items():
            down, up = module.down.detach(), ADAPTER_SCALE * module.up.detach()
            arrays[f"{name}.down"] = down.cpu().half().numpy()
            arrays[f"{name}.up"] = up.cpu().half().numpy()
        return arrays


@contextmanager
def tapped_layers(backbone: nn.Module, layers: Sequence[int]) -> Iterator[list[Tensor]]:
    """Collect the residual stream after some layers while the backbone runs inside the block.

    Hooks, and not ``output_hidden_states``: the stock classes apply their final norm to the last
    entry of that tuple, and keep every layer alive.

    Args:
        backbone: A stock decoder with ``embed_tokens`` and ``layers``.
        layers: Points to read, 0 for the token embeddings.

    Yields:
        A list that holds, after a forward call, one ``(batch, length, hidden)`` tensor for each
        entry of ``layers``, in that order. It is filled anew by each forward call.

    Raises:
        EncoderLoadError: If the backbone has fewer layers than asked for.
    """
    blocks = backbone.get_submodule("layers")
    depth = len(list(blocks.children()))
    if max(layers) > depth:
        msg = f"The readout reads layer {max(layers)}, but the backbone has {depth} layers only."
        raise EncoderLoadError(msg)
    found: list[Tensor] = []
    kept: dict[int, Tensor] = {}

    def keeper(layer: int) -> object:
        def keep(_module: nn.Module, _inputs: object, output: object) -> None:
            state = output[0] if isinstance(output, tuple) else output
            if not isinstance(state, torch.Tensor):
                msg = f"Layer {layer} of the backbone gave no tensor."
                raise EncoderLoadError(msg)
            kept[layer] = state
            if len(kept) == len(set(layers)):
                found[:] = [kept[wanted] for wanted in layers]
                kept.clear()

        return keep

    handles = []
    for layer in sorted(set(layers)):
        module = (
            backbone.get_submodule("embed_tokens")
            if layer == 0
            else blocks.get_submodule(str(layer - 1))
        )
        handles.append(module.register_forward_hook(keeper(layer)))  # type: ignore[arg-type]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
