import sys

if sys.argv[1] == "model":
    from transformers import AutoModelForCausalLM

    AutoModelForCausalLM.from_pretrained("nobody/no-such-model")
if sys.argv[1] == "tokenizer":
    from transformers import AutoTokenizer

    AutoTokenizer.from_pretrained("nobody/no-such-model")
if sys.argv[1] == "code":
    import torch

    torch.hub.load("nobody/no-such-code", "model", pretrained=True)
