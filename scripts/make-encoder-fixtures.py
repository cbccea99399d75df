#!/usr/bin/env python3
"""Writes tests/fixtures/encoders: tiny classifiers with random weights, and the logits that transformers computes for them.

Needs torch and transformers. The committed files were made with torch 2.11 and transformers 5.
"""

import json
import pathlib

import tokenizers
import torch
import transformers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

OUT = pathlib.Path(__file__).parent.parent / "tests" / "fixtures" / "encoders"
TEXTS = [
    "Where is my card?",
    "refund",
    "I was charged twice for one and the same payment, and nobody answers the phone; what am I to do now?",
    "",
    "Überweisung 12,50 € — not received",
]
SPECIAL = ["<pad>", "<unk>", "<s>", "</s>"]
SIZES = dict(vocab_size=128, num_labels=3, max_position_embeddings=24, pad_token_id=0)


def tokenizer():
    words = sorted({word for text in TEXTS[:2] for word in text.lower().replace("?", " ?").split()})
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)] + list("0123456789,.;?")
    pieces = SPECIAL + words + letters + ["##" + letter for letter in letters]
    model = models.WordPiece({piece: i for i, piece in enumerate(dict.fromkeys(pieces))}, unk_token="<unk>")
    made = tokenizers.Tokenizer(model)
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", SPECIAL.index("<s>")), ("</s>", SPECIAL.index("</s>"))]
    )
    return made


def main():
    bert = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24, **SIZES)
    kinds = {
        "bert": transformers.BertForSequenceClassification(transformers.BertConfig(**bert)),
        "roberta": transformers.RobertaForSequenceClassification(transformers.RobertaConfig(**bert, hidden_act="gelu_new")),
        "distilbert": transformers.DistilBertForSequenceClassification(
            transformers.DistilBertConfig(dim=16, n_layers=2, n_heads=2, hidden_dim=24, **SIZES)
        ),
    }
    torch.manual_seed(0)
    split = tokenizer()
    for name, model in kinds.items():
        folder = OUT / name
        # Larger weights than at initialisation: all parts matter to the result.
        for part, parameter in model.named_parameters():
            is_scale = part.lower().endswith(("layernorm.weight", "layer_norm.weight"))
            torch.nn.init.normal_(parameter, mean=1.0 if is_scale else 0.0, std=0.3)
        model.eval().save_pretrained(folder)
        split.save(str(folder / "tokenizer.json"))
        logits, ids = [], []
        longest = SIZES["max_position_embeddings"] - (1 if name == "roberta" else 0)
        for text in TEXTS:
            tokens = split.encode(text).ids
            # Cut as tokenizers cuts: the special token at the end stays.
            tokens = tokens if len(tokens) <= longest else tokens[: longest - 1] + tokens[-1:]
            ids.append(tokens)
            with torch.no_grad():
                logits.append(model(torch.tensor([tokens])).logits[0].tolist())
        expected = {"texts": TEXTS, "ids": ids, "logits": logits}
        (folder / "expected.json").write_text(json.dumps(expected, ensure_ascii=False, indent=1) + "\n")


main()
