"""A measured row as the plain training script that was measured.

Batches are made on the device, as loading is not part of a step, but where the source copies them
within the measured time. The last step is what counts. Rows whose source leaves
the optimizer out, or measures one of very many micro-batches, step an optimizer of one number; so
do Qwen's, whose optimizer has 1 % of what their eight micro-batches move.

    model       the lines that build `model`, in the host's memory or on the device
    batch       the lines that make a batch on the device
    loss        the lines that end in `loss`

apex's O2 is spelt out: a model in half precision, and a copy of its weights in single precision
that the optimizer works on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rows import Row

NETWORKS = Path(__file__).parent / "networks"
_ACCUMULATED_FOR_REAL = ("huggingface/transformers",)
_COPYING = "ryujaehun"
_CROSS_ENTROPY = "loss = torch.nn.functional.cross_entropy(model(images), labels)"


class NotRebuiltError(LookupError):
    """There is no script for a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What a script is made of; `modules` are files of networks/ that it imports."""

    imports: str
    model: str
    batch: str
    loss: str = _CROSS_ENTROPY
    modules: tuple[str, ...] = ()
    infer: str = "model(images)"
    is_on_device: bool = False
    copies_in: bool = False
    is_benchmarked: bool = True
    keeps_half: bool = True
    setup: str = ""
    after: str = ""
    extra: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A training script, and the texts of the modules beside it."""

    text: str
    modules: dict[str, str]
    compute_capability: str


def script_of(row: Row) -> Script:
    """Return the script that trains a row.

    Raises:
        NotRebuiltError: if there is none.
    """
    work = workload_of(row)
    modules = {f"{name}.py": (NETWORKS / f"{name}.py").read_text("utf-8") for name in work.modules}
    before_ampere = row.family in {"V100", "T4", "P100", "Quadro GP100"}
    return Script(
        text=_text(row, work),
        modules=modules,
        compute_capability="7.5" if before_ampere else "8.0",
    )


def _text(row: Row, work: Workload) -> str:
    tf32 = row.precision != "fp32"
    lines = [
        "import torch",
        *work.imports.splitlines(),
        f"torch.backends.cuda.matmul.allow_tf32 = {tf32}",
        f"torch.backends.cudnn.allow_tf32 = {tf32}",
        f"torch.backends.cudnn.benchmark = {work.is_benchmarked}",
        *work.setup.splitlines(),
        *work.model.splitlines(),
        *_placed(row, work),
        *_optimizer(row),
        *work.batch.splitlines(),
        *_loop(row, work),
    ]
    return "\n".join(lines) + "\n"


def is_o2(row: Row) -> bool:
    """Whether the row ran under apex's O2."""
    if row.precision != "amp-fp16":
        return False
    if "apex O2" in row.framework or "@78ec6802" in row.source:
        return True
    of_lambda = row.source.startswith("lambdal") and "apex O2" in row.notes
    return of_lambda and not row.model.startswith(("resnet", "SSD"))


def is_micro_batch(row: Row) -> bool:
    """Whether a script's step is one micro-batch: of very many, or of a model slow to trace."""
    return row.grad_accum > 64 or row.source.startswith("QwenLM")


def _cast(row: Row) -> str:
    if is_o2(row) or row.precision == "fp16-pure":
        return "torch.float16"
    return "torch.bfloat16" if row.precision == "bf16-pure" else ""


def _placed(row: Row, work: Workload) -> list[str]:
    lines = [] if work.is_on_device else ['model = model.to("cuda")']
    if _cast(row):
        lines.append(f"model = model.to({_cast(row)})")
    if row.is_channels_last:
        lines.append("model = model.to(memory_format=torch.channels_last)")
    return [*lines, "model.eval()" if row.task == "infer" else "model.train()"]


def _optimizer(row: Row) -> list[str]:
    name = row.optimizer.lower()
    if is_micro_batch(row) or row.task == "infer" or name.startswith("none") or not name:
        return [
            "one = torch.zeros(1, device='cuda')",
            "one.grad = torch.zeros(1, device='cuda')",
            "optimizer = torch.optim.SGD([one], lr=0.1)",
        ]
    parameters = "[p for p in model.parameters() if p.requires_grad]"
    lines = [f"parameters = {parameters}"]
    if is_o2(row):
        lines.append("masters = [p.detach().float().clone() for p in parameters]")
    lines.append(f"optimizer = {_call(name)}".replace("PARAMETERS", _stepped(row)))
    return lines


def _stepped(row: Row) -> str:
    return "masters" if is_o2(row) else "parameters"


def _call(name: str) -> str:
    if name.startswith("sgd"):
        momentum = "" if "plain" in name or "lr only" in name else ", momentum=0.9"
        return f"torch.optim.SGD(PARAMETERS, lr=0.1{momentum})"
    if name.startswith("rmsprop"):
        return "torch.optim.RMSprop(PARAMETERS, lr=0.1, momentum=0.9)"
    if name.startswith("adafactor"):
        return "torch.optim.Adafactor(PARAMETERS, foreach=False)"
    if "fused" in name:
        return "torch.optim.AdamW(PARAMETERS, fused=True)"
    if "jitlamb" in name or "(hf)" in name:
        # One parameter after the other.
        return "torch.optim.AdamW(PARAMETERS, foreach=False)"
    return "torch.optim.AdamW(PARAMETERS)"


def _loop(row: Row, work: Workload) -> list[str]:
    scales = row.precision == "amp-fp16" and not is_o2(row) and "timm" not in row.framework
    has_real_optimizer = not _optimizer(row)[0].startswith("one")
    accumulates = row.source.startswith(_ACCUMULATED_FOR_REAL) and row.grad_accum > 1
    body: list[str] = []
    if work.copies_in:
        body.append("images = host.to('cuda')")
    if row.task == "infer":
        body += ["with torch.no_grad():", f"    {work.infer}"]
    else:
        body += ["model.zero_grad()" if not is_o2(row) else _CLEAR_O2]
        micro = [*_forward(row, work), "loss.backward()"]
        if scales and has_real_optimizer:
            micro[-1] = "scaler.scale(loss).backward()"
        if is_o2(row):
            micro[-1] = "(loss.float() * 128.0).backward()"
        if accumulates:
            body.append(f"for micro in range({row.grad_accum}):")
            micro = [f"    {line}" for line in micro]
        body += micro
    if is_o2(row) and has_real_optimizer:
        body += _STEP_O2
    elif scales and has_real_optimizer and row.task != "infer":
        body += ["scaler.step(optimizer)", "scaler.update()"]
    else:
        body.append("optimizer.step()")
    body += work.after.splitlines()
    head = ["scaler = torch.amp.GradScaler('cuda')"] if scales else []
    return [*head, f"for step in range({_steps(row)}):", *(f"    {line}" for line in body)]


def _steps(row: Row) -> int:
    """Return how many steps to trace: one, where the first is as any other.

    It is where an optimizer keeps no state; but what comes before its forward pass, such as the
    copy of a batch, is not seen to be the step's.
    """
    is_first_as_any = "plain" in row.optimizer or row.task == "infer"
    return 1 if is_first_as_any and not row.source.startswith(_COPYING) else 2


_CLEAR_O2 = "model.zero_grad()"
_STEP_O2 = [
    "grads = [p.grad for p in parameters]",
    "for master, grad in zip(masters, grads):",
    "    master.grad = torch.empty_like(master)",
    "torch._foreach_copy_([m.grad for m in masters], grads)",
    "torch._foreach_mul_([m.grad for m in masters], 1 / 128.0)",
    "optimizer.step()",
    "with torch.no_grad():",
    "    torch._foreach_copy_(parameters, masters)",
]


def _forward(row: Row, work: Workload) -> list[str]:
    dtype = {
        "amp-fp16": "torch.float16",
        "bf16": "torch.bfloat16",
        "bf16-emulated": "torch.bfloat16",
    }.get(row.precision)
    lines = work.loss.splitlines()
    if dtype is None or is_o2(row):
        return lines
    return [f"with torch.autocast('cuda', dtype={dtype}):", *(f"    {line}" for line in lines)]


def workload_of(row: Row) -> Workload:
    """Return what a row trains.

    Raises:
        NotRebuiltError: if nobody wrote that down.
    """
    kind = row.rebuild
    for start, build in _BUILDERS.items():
        if kind.startswith(start):
            return build(row)
    raise NotRebuiltError(f"{row.id}: no script for {kind!r}")


def _size(row: Row) -> int:
    return int(row.input.split("x")[1].split()[0])


def _images(row: Row, *, on: str = "cuda") -> str:
    dtype = f", dtype={_cast(row)}" if _cast(row) else ""
    size = _size(row)
    layout = ".to(memory_format=torch.channels_last)" if row.is_channels_last else ""
    images = f'torch.zeros({row.batch}, 3, {size}, {size}, device="{on}"{dtype}){layout}'
    labels = f'torch.zeros({row.batch}, dtype=torch.int64, device="cuda")'
    name = "host" if on == "cpu" else "images"
    return f"{name} = {images}\nlabels = {labels}"


def _torchvision(row: Row) -> Workload:
    name = row.rebuild.split()[1]
    copies = row.source.startswith(_COPYING)
    return Workload(
        imports="import torchvision",
        model=f"model = torchvision.models.{name}()",
        batch=_images(row, on="cpu" if copies else "cuda"),
        copies_in=copies,
    )


def _timm(row: Row) -> Workload:
    name = row.rebuild.split()[1]
    return Workload(
        imports="import timm",
        setup="timm.layers.set_fused_attn(False)",
        model=f"model = timm.create_model({name!r})",
        batch=_images(row),
    )


def _ssd(row: Row) -> Workload:
    layout = ".to(memory_format=torch.channels_last)" if row.is_channels_last else ""
    return Workload(
        imports="from ssd300 import BOXES_OF_ALL, SSD300, ssd_loss",
        modules=("ssd300",),
        model="model = SSD300()",
        batch=(
            f'images = torch.zeros({row.batch}, 3, 300, 300, device="cuda"){layout}\n'
            f'places = torch.zeros({row.batch}, 4, BOXES_OF_ALL, device="cuda")\n'
            f'labels = torch.zeros({row.batch}, BOXES_OF_ALL, dtype=torch.int64, device="cuda")'
        ),
        loss="found, scores = model(images)\n"
        "loss = ssd_loss(found.float(), scores.float(), places, labels)",
    )


def _neumf(row: Row) -> Workload:
    integers = 'dtype=torch.int64, device="cuda"'
    return Workload(
        imports="from neumf import NeuMF",
        modules=("neumf",),
        model="model = NeuMF()",
        batch=f"users = torch.zeros({row.batch}, {integers})\n"
        f"items = torch.zeros({row.batch}, {integers})\n"
        f'wanted = torch.zeros({row.batch}, 1, device="cuda")',
        loss="loss = torch.nn.functional.binary_cross_entropy_with_logits("
        "model(users, items).float(), wanted)",
    )


def _transformer_xl(row: Row) -> Workload:
    is_large = "large" in row.rebuild[:24]
    length = int(row.input.split()[1])
    sizes = (18, 1024, 16, 4096) if is_large else (16, 512, 8, 2048)
    is_full = row.source.startswith("lambdal")
    softmax = f"FullSoftmax({sizes[1]})" if is_full else f"AdaptiveSoftmax({sizes[1]}, DIVISION)"
    softmax = softmax.replace("DIVISION", "4" if is_large else "1")
    dtype = f", dtype={_cast(row)}" if _cast(row) else ""
    if row.precision == "amp-fp16" and not dtype:
        dtype = ", dtype=torch.float16"
    integers = 'dtype=torch.int64, device="cuda"'
    return Workload(
        imports="from transformer_xl import AdaptiveSoftmax, FullSoftmax, TransformerXL",
        modules=("transformer_xl",),
        model=f"model = TransformerXL(*{sizes}, {length}, {softmax})",
        batch=f"ids = torch.zeros({length}, {row.batch}, {integers})\n"
        f"memories = [torch.zeros({length}, {row.batch}, {sizes[1]}, device='cuda'{dtype}) "
        f"for _ in range({sizes[0]})]",
        loss="loss, memories = model(ids, ids, memories)",
    )


_LARGE = "hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096"


def _length(row: Row) -> int:
    return int("".join(c if c.isdigit() else " " for c in row.input).split()[0])


def _ids(row: Row, length: int, samples: int | None = None) -> str:
    batch = samples or row.batch
    integers = 'dtype=torch.int64, device="cuda"'
    return (
        f"ids = torch.zeros({batch}, {length}, {integers})\n"
        f"mask = torch.ones({batch}, {length}, {integers})\n"
        f"labels = torch.zeros({batch}, {integers})"
    )


def _bert(row: Row) -> Workload:
    figures = _LARGE if "large" in row.rebuild else ""
    vocabulary = "vocab_size=30528" if "PreTraining" in row.rebuild else "vocab_size=30522"
    config = f"BertConfig({', '.join(filter(None, (vocabulary, figures)))})"
    attention = "sdpa" if "SDPA" in row.framework else "eager"
    build = f"config = transformers.{config}\nconfig._attn_implementation = {attention!r}\n"
    length = _length(row)
    if "QuestionAnswering" in row.rebuild:
        head = "BertForQuestionAnswering"
        loss = "loss = model(ids, mask, start_positions=labels, end_positions=labels).loss"
    elif "PreTraining" in row.rebuild:
        head = "BertForPreTraining"
        masked = row.batch * (20 if length == 128 else 80)
        loss = (
            "hidden, pooled = model.bert(ids, mask)[:2]\n"
            f"picked = hidden.reshape(-1, hidden.size(-1))[torch.zeros({masked}, "
            "dtype=torch.int64, device='cuda')]\n"
            "scores, related = model.cls(picked, pooled)\n"
            f"loss = torch.nn.functional.cross_entropy(scores.float(), torch.zeros({masked}, "
            "dtype=torch.int64, device='cuda')) + torch.nn.functional.cross_entropy("
            "related.float(), labels)"
        )
    else:
        head, loss = "BertForSequenceClassification", "loss = model(ids, mask, labels=labels).loss"
    return Workload(
        imports="import transformers",
        model=f"{build}model = transformers.{head}(config)",
        batch=_ids(row, length),
        loss=loss,
    )


def _distilbert(row: Row) -> Workload:
    return Workload(
        imports="import transformers",
        model="config = transformers.DistilBertConfig()\nconfig._attn_implementation = 'eager'\n"
        "model = transformers.DistilBertForSequenceClassification(config)",
        batch=_ids(row, 512),
        loss="loss = model(ids, mask, labels=labels).loss",
    )


def _modernbert(row: Row) -> Workload:
    """Source: https://huggingface.co/answerdotai/ModernBERT-base/raw/main/config.json."""
    return Workload(
        imports="import transformers",
        model="config = transformers.ModernBertConfig(reference_compile=False)\n"
        "config._attn_implementation = 'sdpa'\n"
        "model = transformers.ModernBertForSequenceClassification(config)",
        batch=_ids(row, 128),
        loss="loss = model(ids, mask, labels=labels).loss",
    )


def _gpt(row: Row) -> Workload:
    by_hand = "step5" not in row.model and "step8" not in row.model
    arguments, length = f"by_hand={by_hand}", 1024
    classes = "model(ids)"
    wanted = "ids"
    extra = ""
    if "classify" in row.model:
        figures = (
            "layers=36, width=1280, heads=20"
            if "774M" in row.model
            else ("layers=48, width=1600, heads=25")
        )
        arguments, length = f"{figures}, dropout=0.0, bias=True, classes=2", 120
        classes, wanted = "model(ids)[:, -1, :]", "labels"
        extra = (
            "\nfor p in model.parameters():\n    p.requires_grad_(False)\n"
            "for part in (model.blocks[-1], model.norm, model.head):\n"
            "    for p in part.parameters():\n        p.requires_grad_(True)"
        )
    flat = (
        f"logits = {classes}\n"
        f"loss = torch.nn.functional.cross_entropy(logits.flatten(0, -2), {wanted}.flatten())"
    )
    return Workload(
        imports="from gpt import GPT",
        modules=("gpt",),
        model=f"model = GPT({arguments}){extra}",
        batch=_ids(row, length),
        loss=flat,
    )


# Source: https://huggingface.co/Qwen/Qwen-1_8B (-7B, -14B), config.json; its intermediate_size is
# that of both halves of the gated layer.
_QWEN = {
    "1.8B": (24, 2048, 5504, 16),
    "7B": (32, 4096, 11008, 32),
    "14B": (40, 5120, 13696, 40),
}


def _qwen(row: Row) -> Workload:
    sizes = _QWEN[row.model.split()[0].removeprefix("Qwen-")]
    return Workload(
        imports="from qwen import Qwen",
        modules=("qwen",),
        model="torch.set_default_dtype(torch.bfloat16)\n"
        "with torch.device('cuda'):\n"
        f"    model = Qwen(*{sizes}, lora={'LoRA' in row.model})\n"
        "torch.set_default_dtype(torch.float32)",
        is_on_device=True,
        batch=_ids(row, int(row.input.split()[1])),
        loss="logits = model(ids)[:, :-1].float()\n"
        "loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())",
    )


def _lstm(row: Row) -> Workload:
    return Workload(
        imports="",
        model="model = torch.nn.LSTM(1, 1024, 1, batch_first=True)",
        batch=f"series = torch.zeros({row.batch}, 10080, 1, device='cuda')",
        infer="model(series)",
        setup="torch.backends.cuda.matmul.allow_tf32 = False",
    )


def _wide_resnet(row: Row) -> Workload:
    return Workload(
        imports="from wide_resnet import WideResNet",
        modules=("wide_resnet",),
        model="model = WideResNet()",
        batch=_images(row),
    )


def _nnunet(row: Row) -> Workload:
    """Source: NVIDIA/DeepLearningExamples, PyTorch/Segmentation/nnUNet/nnunet/nn_unet.py.

    Patch 192 x 160: five halvings; 4 channels in, 4 classes; filters 32 doubled up to 512.
    """
    return Workload(
        imports="from monai.networks.nets import DynUNet",
        model="model = DynUNet(2, 4, 4, [3] * 6, [1, 2, 2, 2, 2, 2], [2] * 5, "
        "filters=[32, 64, 128, 256, 512, 512], norm_name=('INSTANCE', {'affine': True}))",
        batch=f"images = torch.zeros({row.batch}, 4, 192, 160, device='cuda')\n"
        f"labels = torch.zeros({row.batch}, 192, 160, dtype=torch.int64, device='cuda')",
        loss="scores = model(images)\n"
        "shares = torch.softmax(scores, 1)\n"
        "wanted = torch.nn.functional.one_hot(labels, 4).permute(0, 3, 1, 2)\n"
        "dice = 2 * (shares * wanted).sum((0, 2, 3)) / (shares + wanted).sum((0, 2, 3))\n"
        "loss = torch.nn.functional.cross_entropy(scores, labels) + 1 - dice.mean()",
    )


_BUILDERS = {
    "torchvision ": _torchvision,
    "timm ": _timm,
    "SSD300": _ssd,
    "NeuMF": _neumf,
    "Transformer-XL": _transformer_xl,
    "transformers Bert": _bert,
    "transformers AutoModelForSequenceClassification bert": _bert,
    "transformers AutoModelForSequenceClassification distilbert": _distilbert,
    "transformers answerdotai/ModernBERT": _modernbert,
    "GPTModel": _gpt,
    "GPT-2 ": _gpt,
    "Qwen-": _qwen,
    "nn.LSTM": _lstm,
    "WRN-28-10": _wide_resnet,
    "MONAI DynUNet": _nnunet,
}
