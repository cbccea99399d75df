"""Writes a tiny language model with random weights in the GGUF format: tiny_model.py FILE

A token is one character (or one byte, outside of ASCII), so a text is as many tokens as it has letters. The answers are
noise, except that characters that end something (quotes, brackets, the end of the answer) are likelier than others:
this way most JSON, which the server's grammar enforces, ends before the limit of tokens.
"""

import sys

import gguf
import numpy as np

WIDTH, LAYERS, HEADS, HIDDEN, CONTEXT = 64, 2, 4, 128, 16384
ENDS = {"</s>": 6.0, '"': 5.0, "]": 4.0, "}": 4.0, ",": 1.0}

kinds = gguf.TokenType
vocabulary = [("<unk>", kinds.UNKNOWN), ("<s>", kinds.CONTROL), ("</s>", kinds.CONTROL)]
vocabulary += [(f"<0x{byte:02X}>", kinds.BYTE) for byte in range(256)]
vocabulary += [("\u2581", kinds.NORMAL)]  # how this kind of tokenizer spells a space
vocabulary += [(chr(code), kinds.NORMAL) for code in range(33, 127)]
tokens = [token for token, _ in vocabulary]

random = np.random.default_rng(0)


def weights(rows, columns, scale=1.0):
    return (random.standard_normal((rows, columns)) * scale / np.sqrt(columns)).astype(np.float32)


# The first number of a token's state is always 1 (no layer writes to it), so its output weights work as a bias.
embedding = weights(len(tokens), WIDTH, 8.0)
embedding[:, 0] = 1.0
output = weights(len(tokens), WIDTH)
output[:, 0] = [ENDS.get(token, 0.0) for token in tokens]
tensors = {"token_embd": embedding, "output_norm": np.ones(WIDTH, np.float32), "output": output}
for layer in range(LAYERS):
    block = {
        "attn_norm": np.ones(WIDTH, np.float32),
        "attn_q": weights(WIDTH, WIDTH),
        "attn_k": weights(WIDTH, WIDTH),
        "attn_v": weights(WIDTH, WIDTH),
        "attn_output": weights(WIDTH, WIDTH),
        "ffn_norm": np.ones(WIDTH, np.float32),
        "ffn_gate": weights(HIDDEN, WIDTH),
        "ffn_up": weights(HIDDEN, WIDTH),
        "ffn_down": weights(WIDTH, HIDDEN),
    }
    block["attn_output"][0] = block["ffn_down"][0] = 0.0
    tensors |= {f"blk.{layer}.{name}": tensor for name, tensor in block.items()}

file = gguf.GGUFWriter(sys.argv[1], "llama")
file.add_name("tiny")
file.add_file_type(gguf.LlamaFileType.ALL_F32)
file.add_context_length(CONTEXT)
file.add_embedding_length(WIDTH)
file.add_block_count(LAYERS)
file.add_head_count(HEADS)
file.add_head_count_kv(HEADS)
file.add_feed_forward_length(HIDDEN)
file.add_rope_dimension_count(WIDTH // HEADS)
file.add_layer_norm_rms_eps(1e-5)
file.add_vocab_size(len(tokens))
file.add_tokenizer_model("llama")
file.add_token_list(tokens)
file.add_token_scores([0.0] * len(tokens))
file.add_token_types([kind for _, kind in vocabulary])
file.add_unk_token_id(0)
file.add_bos_token_id(1)
file.add_eos_token_id(2)
file.add_add_space_prefix(False)
file.add_chat_template("{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant: ")
for name, tensor in tensors.items():
    file.add_tensor(f"{name}.weight", tensor)
file.write_header_to_file()
file.write_kv_data_to_file()
file.write_tensors_to_file()
file.close()
