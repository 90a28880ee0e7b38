"""Records a golden reference: what Hugging Face Transformers computes on a real model.

    python make_reference.py MODEL.gguf [--check-float64] [--prompts N] [--output STEM]

Writes STEM.bin (format: README.md) and STEM.json (versions, command, measurements) next to this
file; STEM is `reference`, the default model's, unless told. Only the first N prompts. Torch on the CPU, float32, eager attention, on the dequantized weights of MODEL.gguf.
"""

import argparse
import hashlib
import importlib.metadata
import json
import pathlib
import platform
import struct
import sys

import jinja2
import numpy as np
import tokenizers
import torch
import transformers

from double_llama import PlainLlama
from gguf_model import GgufModel

HERE = pathlib.Path(__file__).resolve().parent
MAGIC = b"IKVGOLD1"
FORMAT_VERSION = 1
NUM_POSITIONS = 32
NUM_TOP = 64
NUM_FIXED = 64
FIXED_IDS_SEED = 20240229
LOW_MARGIN = 1e-3

# Known ids of each tokenizer: text -> ids.
GOLDEN_IDS = {"llama": {
    "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face"
    "<|im_end|>\n": [1, 9690, 198, 2683, 359, 253, 5356, 5646, 11173, 3365, 3511, 308, 34519, 28,
                     7018, 411, 407, 19712, 8182, 2, 198],
    "<|im_start|>user\n": [1, 4093, 198],
    "<|im_start|>assistant\n": [1, 520, 9531, 198],
    "Hello": [19556],
    "Hello world": [19556, 905],
    "Hi there": [26843, 665],
    "  leading spaces": [216, 2899, 5600],
    "The quick brown fox jumps over the lazy dog":
        [504, 2365, 6354, 16438, 27003, 690, 260, 23790, 2767],
}, "qwen2": {
    "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n":
        [151644, 8948, 198, 2610, 525, 1207, 16948, 11, 3465, 553, 54364, 14817, 13, 1446, 525, 264, 10950, 17847, 13,
         151645, 198],
    "Hello world": [9707, 1879],
}}


def sha256_of(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256")


def messages_of(prompt):
    if "turns" in prompt:
        return [{"role": role, "content": content} for role, content in prompt["turns"]]
    messages = [{"role": "user", "content": prompt["user"]}]
    if "system" in prompt:
        messages.insert(0, {"role": "system", "content": prompt["system"]})
    return messages


def encode_prompts(model, prompts):
    tokenizer = model.tokenizer()
    for text, ids in GOLDEN_IDS[model.architecture].items():
        if tokenizer.encode(text).ids != ids:
            raise ValueError(f"golden ids differ: {text!r} gives {tokenizer.encode(text).ids}")
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(model.chat_template)
    encoded = []
    for prompt in prompts:
        text = template.render(messages=messages_of(prompt), add_generation_prompt=True)
        encoded.append(tokenizer.encode(text).ids)
    return tokenizer, encoded


def hugging_face_model(source, state):
    model = source.hugging_face_class()(source.config()).to(torch.float32)
    result = model.load_state_dict({n: torch.from_numpy(w) for n, w in state.items()}, strict=False)
    if result.unexpected_keys or result.missing_keys != (["lm_head.weight"] if source.tied else []):
        raise ValueError(f"weights do not fit: {result}")
    model.tie_weights()
    if model.config._attn_implementation != "eager":
        raise ValueError("attention is not eager")
    if (model.lm_head.weight.data_ptr() == model.model.embed_tokens.weight.data_ptr()) != source.tied:
        raise ValueError("the head is not tied as in the file")
    return model.eval()


def greedy_ids(model, prompt):
    """32 ids by argmax (the lowest id wins a tie), whatever they are: EOS does not stop."""
    ids, cache, step = [], None, torch.tensor([prompt])
    for _ in range(NUM_POSITIONS):
        out = model(step, past_key_values=cache, use_cache=True)
        cache = out.past_key_values
        ids.append(int(np.argmax(out.logits[0, -1].numpy())))
        step = torch.tensor([[ids[-1]]])
    return ids


def id_type(vocab):
    return "<u2" if vocab <= 1 << 16 else "<u4"


def record_positions(logits, ids, fixed_ids):
    """logits [32, vocab] float32 -> one packed record per position, and statistics."""
    records, margins = [], []
    for row, greedy in zip(logits, ids):
        top = np.lexsort((np.arange(row.size), -row))[:NUM_TOP]  # descending, ties by lowest id
        if top[0] != greedy:
            raise ValueError("the cached and the whole pass disagree about the argmax")
        wide = row.astype(np.float64)
        largest = wide.max()
        logsumexp = largest + np.log(np.exp(wide - largest).sum())
        margins.append(float(row[top[0]] - row[top[1]]))
        kind = id_type(row.size)
        records.append(np.array(greedy, kind).tobytes()
                       + struct.pack("<fff", logsumexp, np.abs(row).max(), margins[-1])
                       + top.astype(kind).tobytes() + row[top].astype("<f4").tobytes()
                       + row[fixed_ids].astype("<f4").tobytes())
    return b"".join(records), margins


def float64_distance(plain, ids, first, logits):
    """Largest |float32 - float64| logit over the row's max |logit|; the same for logsumexp."""
    exact = plain.logits(ids, first).numpy()
    scale = np.abs(exact).max(axis=1)
    wide = logits.astype(np.float64)

    def logsumexp(x):
        m = x.max(axis=1)
        return m + np.log(np.exp(x - m[:, None]).sum(axis=1))

    return (float((np.abs(exact - wide).max(axis=1) / scale).max()),
            float((np.abs(logsumexp(exact) - logsumexp(wide)) / scale).max()),
            bool((exact.argmax(axis=1) == wide.argmax(axis=1)).all()))


def run_prompts(prompts, encoded, tokenizer, model, plains):
    vocab = model.config.vocab_size
    fixed_ids = np.sort(np.random.RandomState(FIXED_IDS_SEED).permutation(vocab)[:NUM_FIXED])
    body, summary = fixed_ids.astype(id_type(vocab)).tobytes(), []
    for prompt, ids in zip(prompts, encoded):
        greedy = greedy_ids(model, ids)
        forced = ids + greedy[:-1]
        logits = model(torch.tensor([forced]), use_cache=False).logits[0].numpy()[len(ids) - 1:]
        records, margins = record_positions(logits, greedy, fixed_ids)
        body += struct.pack("<I", len(ids)) + np.array(ids, id_type(vocab)).tobytes() + records
        line = {"name": prompt["name"], "prompt_tokens": len(ids),
                "low_margins": sum(m < LOW_MARGIN for m in margins),
                "smallest_margin": min(margins),
                "answer": tokenizer.decode(greedy, skip_special_tokens=False)}
        for name, plain in plains.items():
            line[name] = float64_distance(plain, forced, len(ids) - 1, logits)
        summary.append(line)
        print(json.dumps(line, ensure_ascii=False), flush=True)
    return body, summary


def write_outputs(args, body, summary, vocab):
    digest = sha256_of(args.model)
    header = MAGIC + struct.pack("<6I", FORMAT_VERSION, vocab, len(summary), NUM_POSITIONS,
                                 NUM_TOP, NUM_FIXED) + digest.digest()
    (HERE / f"{args.output}.bin").write_bytes(header + body)
    manifest = {
        "command": " ".join(["python make_reference.py", args.model.name, *args.options]),
        "model": {"file": args.model.name, "sha256": digest.hexdigest()},
        "reference_sha256": hashlib.sha256(header + body).hexdigest(),
        "format_version": FORMAT_VERSION,
        "fixed_ids_seed": FIXED_IDS_SEED,
        "versions": {
            "python": platform.python_version(), "torch": torch.__version__,
            "transformers": transformers.__version__, "tokenizers": tokenizers.__version__,
            "gguf": importlib.metadata.version("gguf"),
            "numpy": np.__version__, "jinja2": jinja2.__version__},
        "positions_below_margin": sum(line["low_margins"] for line in summary),
        "prompts": summary,
    }
    text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
    (HERE / f"{args.output}.json").write_text(text, encoding="utf-8")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--check-float64", action="store_true",
                        help="also measure the distance to a float64 forward pass (llama only)")
    parser.add_argument("--prompts", type=int, help="only the first N")
    parser.add_argument("--output", default="reference", help="name of the files, without ending")
    args = parser.parse_args()
    args.options = [option for option in sys.argv[1:] if option != str(args.model)]
    return args


def main():
    args = parse_arguments()
    torch.manual_seed(0)
    prompts = json.loads((HERE / "prompts.json").read_text(encoding="utf-8"))[:args.prompts]
    source = GgufModel(args.model)
    tokenizer, encoded = encode_prompts(source, prompts)
    state = source.state_dict()
    plains = {}
    if args.check_float64:
        config = source.config()
        plains = {"float64": PlainLlama(state, config, float32_angles=True),
                  "float64_exact_angles": PlainLlama(state, config)}
    with torch.no_grad():
        body, summary = run_prompts(prompts, encoded, tokenizer, hugging_face_model(source, state), plains)
    low = sum(line["low_margins"] for line in summary)
    if low * 100 > len(summary) * NUM_POSITIONS:
        raise ValueError(f"{low} positions with a top-2 margin below {LOW_MARGIN}: change prompts")
    write_outputs(args, body, summary, source.vocab_size())


if __name__ == "__main__":
    main()
