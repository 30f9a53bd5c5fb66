"""Evaluates a dataset and the answers of models: whether a model learns from the dataset what it should, and nothing else.

    data, answers, wording  a dataset folder as examples; answers.jsonl; emotions named in free text
    scoring                 metrics of recognition, and overlap of reasons
    checks                  statistical checks of the dataset: can it be learned, short cuts, identity
    llama                   DEEMO-LLaMA, the trained baseline
    evaluation              `deemo evaluate`, which puts all of it together

The package reads exported datasets only. It does not know projects. Only `llama` needs torch.
"""
