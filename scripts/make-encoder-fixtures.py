#!/usr/bin/env python3
"""Writes tests/fixtures/encoders: tiny classifiers with random weights, and the logits that transformers computes for them.

    scripts/make-encoder-fixtures.py [NAME...]

writes those of these names, or all. Needs torch and transformers. The committed files were made with torch 2.11 (ModernBERT and
DeBERTa with 2.15) and transformers 5.
"""

import json
import pathlib
import sys

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


def unigram():
    """As DeBERTa-v3 has it: pieces with a score each, of words that begin with a mark."""
    special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]
    words = sorted({"▁" + word for text in TEXTS[:2] for word in text.lower().replace("?", "").split()})
    letters = ["▁"] + [chr(c) for c in range(ord("a"), ord("z") + 1)] + list("0123456789,.;?")
    endings = ["ing", "ed", "er", "▁n", "▁a", "▁ch"]
    pieces = [(piece, 0.0) for piece in special] + [(piece, -2.0) for piece in words] + [(piece, -4.0) for piece in endings]
    made = tokenizers.Tokenizer(models.Unigram(pieces + [(piece, -6.0) for piece in letters], special.index("[UNK]")))
    made.normalizer = normalizers.Sequence(
        [normalizers.Lowercase(), normalizers.NFKC(), normalizers.Replace(tokenizers.Regex(" {2,}"), " ")]
    )
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Metaspace()
    made.add_special_tokens(special)
    made.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)])
    return made


def modern(**changes):
    """Three layers, of which one sees all tokens; the others see four to either side, and the texts are longer."""
    sizes = dict(hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=24, **SIZES)
    marks = dict(bos_token_id=2, eos_token_id=3, cls_token_id=2, sep_token_id=3)
    return transformers.ModernBertForSequenceClassification(
        transformers.ModernBertConfig(local_attention=8, **sizes, **marks, **changes)
    )


def deberta():
    config = transformers.DebertaV2Config(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        relative_attention=True,
        position_buckets=8,
        norm_rel_ebd="layer_norm",
        share_att_key=True,
        pos_att_type="p2c|c2p",
        position_biased_input=False,
        **SIZES,
    )
    return transformers.DebertaV2ForSequenceClassification(config)


def main():
    bert = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24, **SIZES)
    kinds = {
        "bert": transformers.BertForSequenceClassification(transformers.BertConfig(**bert)),
        "roberta": transformers.RobertaForSequenceClassification(transformers.RobertaConfig(**bert, hidden_act="gelu_new")),
        "distilbert": transformers.DistilBertForSequenceClassification(
            transformers.DistilBertConfig(dim=16, n_layers=2, n_heads=2, hidden_dim=24, **SIZES)
        ),
        "modernbert": modern(attention_dropout=0.1, mlp_dropout=0.1, classifier_dropout=0.1),
        "modernbert-mean": modern(
            classifier_pooling="mean",
            attention_bias=True,
            mlp_bias=True,
            norm_bias=True,
            classifier_bias=True,
            classifier_activation="tanh",
        ),
        "deberta": deberta(),
    }
    torch.manual_seed(0)
    for name, model in kinds.items():
        folder = OUT / name
        split = unigram() if name == "deberta" else tokenizer()
        # Larger weights than at initialisation: all parts matter to the result.
        for part, parameter in model.named_parameters():
            is_scale = part.lower().endswith("norm.weight")
            torch.nn.init.normal_(parameter, mean=1.0 if is_scale else 0.0, std=0.3)
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
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
