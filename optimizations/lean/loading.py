"""The lean model from a checkpoint's files, from a seed, or from a model of transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from harness.strategy import ModelFiles
from optimizations.lean.config import AUTO_CLASS, refuse_config
from optimizations.lean.model import Embedding, LeanModel, Linear


def load_lean(files: ModelFiles, seed: int, device: torch.device) -> LeanModel | None:
    """Return the model of these files on `device`, fp32; None if it is of another kind, or the weights lie otherwise.

    What is drawn is drawn on the host, as transformers does, so that every device begins with the same numbers.
    """
    if files.head.auto_class != AUTO_CLASS or refuse_config(files.config) is not None:
        return None
    model = LeanModel(files.config)
    deviation = model.config.initializer_range
    torch.manual_seed(seed)
    if files.weights is None:
        # transformers makes the encoder, which draws PyTorch's numbers, then draws its own, then comes the head.
        for part in model.children():
            for module in part.modules():
                if isinstance(module, Linear):
                    nn.Linear.reset_parameters(module)
                elif isinstance(module, Embedding):
                    nn.Embedding.reset_parameters(module)
            draw(part, deviation)
        return model.to(device)
    draw(model.qa_outputs, deviation)
    try:
        tensors = read_weights(files.weights, model, device)
    except SafetensorError:
        return None  # a damaged file: transformers is asked next, and its error is made one line
    if tensors is None:
        return None
    drawn = {name: value.to(device) for name, value in model.state_dict().items() if name not in tensors}
    model.load_state_dict(drawn | tensors, assign=True)
    return model


def read_weights(path: Path, model: LeanModel, device: torch.device) -> dict[str, Tensor] | None:
    """Return the checkpoint's tensors under the model's names; None unless all but the head's are there, and fit.

    Checkpoints of the encoder alone leave the prefix out.
    """
    found = {}
    with safe_open(path, framework="pt", device=str(device)) as file:
        names = set(file.keys())
        for name, wanted in model.state_dict().items():
            bare = name.removeprefix(f"{model.base_model_prefix}.")
            stored = next((key for key in (name, bare) if key in names), None)
            if stored is None and name.startswith("qa_outputs."):
                continue
            if stored is None or file.get_slice(stored).get_shape() != list(wanted.shape):
                return None
            # A copy: on processors the file itself would be mapped into the parameters.
            found[name] = file.get_tensor(stored).to(torch.float32, copy=True)
    return found


def draw(module: nn.Module, deviation: float) -> None:
    """Draw weights as transformers initialises BERT and DistilBERT: normal, biases 0, the padding's vector 0."""
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.Linear | nn.Embedding):
                part.weight.normal_(std=deviation)
            if isinstance(part, nn.Linear):
                part.bias.zero_()
            elif isinstance(part, nn.Embedding) and part.padding_idx is not None:
                part.weight[part.padding_idx].zero_()


def take_over(model: Any) -> LeanModel:
    """Return the lean form of a transformers model, with its very parameters; its dropout probabilities too."""
    lean = LeanModel(model.config.to_dict())
    lean.load_state_dict(model.state_dict(), assign=True)
    for name, parameter in lean.named_parameters():
        parameter.requires_grad_(model.get_parameter(name).requires_grad)
    dropouts = {name: module.p for name, module in model.named_modules() if isinstance(module, nn.Dropout)}
    for name, module in lean.named_modules():
        if name in dropouts:
            module.p = dropouts[name]
    lean.set_attn_implementation("eager")
    return lean.train(model.training)
