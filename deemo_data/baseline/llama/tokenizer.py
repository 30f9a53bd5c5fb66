"""Text as token ids: the tokenizer of the language model, and the form of questions and answers.

A preset without a base trains its own tokenizer (`train_tokenizer`), which model.json keeps; a preset with a base uses the base's
(`load_pretrained_tokenizer`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deemo_data.baseline.llama.presets import Preset
from deemo_data.errors import ModelError

if TYPE_CHECKING:
    from deemo_data.baseline.data import Example


BEGIN, END, PAD = "<s>", "</s>", "<pad>"
ANSWER = "\nAnswer:"  # ends every question
REPEATS = 4  # of labels in the training text of a tokenizer, so that each becomes one token


@dataclass(frozen=True)
class TextTokenizer:
    """A tokenizer of transformers, and the questions and answers of DEEMO-LLaMA in its tokens.

    max_tokens  of a transcript, of a clue and of an answer
    """

    hf_tokenizer: Any
    max_tokens: int

    @property
    def begin_id(self) -> int:
        """The token that begins a text."""
        return int(self.hf_tokenizer.bos_token_id if self.hf_tokenizer.bos_token_id is not None else self.end_id)

    @property
    def end_id(self) -> int:
        """The token that ends an answer."""
        return int(self.hf_tokenizer.eos_token_id)

    @property
    def pad_id(self) -> int:
        """The token that fills up shorter rows."""
        return int(self.hf_tokenizer.pad_token_id if self.hf_tokenizer.pad_token_id is not None else self.end_id)

    def __len__(self) -> int:
        return len(self.hf_tokenizer)

    def encode(self, text: str) -> list[int]:
        """The token ids of a text, at most `max_tokens` of them."""
        return list(self.hf_tokenizer.encode(text, add_special_tokens=False))[: self.max_tokens]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids, without special tokens."""
        return str(self.hf_tokenizer.decode(list(ids), skip_special_tokens=True)).strip()

    def encode_question(self, instruction: str, transcript: str = "") -> list[int]:
        """The token ids of a question: the transcript if there is one, the instruction, and the beginning of the answer."""
        spoken = self.encode(f"The person says: {transcript}") + self.encode("\n") if transcript else []
        return spoken + self.encode(instruction) + self.encode(ANSWER)

    def encode_answer(self, text: str) -> list[int]:
        """The token ids of an answer, with the end token."""
        return [*self.encode(f" {text}")[: self.max_tokens - 1], self.end_id]


def train_tokenizer(examples: Iterable[Example], preset: Preset, emotions: Sequence[str]) -> TextTokenizer:
    """Train a tokenizer on the texts of the training split and the names of the emotions.

    It is a byte-level BPE, so that it can encode every text.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=preset.vocabulary, special_tokens=[PAD, BEGIN, END], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )  # fmt: skip
    texts = [
        t for e in examples for t in (e.instruction, e.reasoning_instruction, e.transcript, e.reasoning, *e.clues.values()) if t
    ]
    frequent = [f" {e}" for e in emotions] * REPEATS + [f"The person says: x{ANSWER}"] * REPEATS
    tokenizer.train_from_iterator([*texts, *frequent], trainer)
    return TextTokenizer(_wrap_tokenizer(tokenizer), preset.longest)


def load_tokenizer(text: str, preset: Preset) -> TextTokenizer:
    """A trained tokenizer from the JSON of `tokenizer_to_json`."""
    from tokenizers import Tokenizer

    return TextTokenizer(_wrap_tokenizer(Tokenizer.from_str(text)), preset.longest)


def _wrap_tokenizer(tokenizer: Any) -> Any:
    """A tokenizer of the library tokenizers as one of transformers, with the special tokens."""
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=BEGIN, eos_token=END, pad_token=PAD)


def tokenizer_to_json(tokenizer: TextTokenizer) -> str:
    """A trained tokenizer as JSON."""
    return str(tokenizer.hf_tokenizer.backend_tokenizer.to_str())


def load_pretrained_tokenizer(preset: Preset) -> TextTokenizer:
    """The tokenizer in the folder of the base. Raises ModelError when it is not on this machine."""
    from transformers import AutoTokenizer

    try:
        return TextTokenizer(AutoTokenizer.from_pretrained(preset.base, local_files_only=True), preset.longest)
    except (OSError, ValueError) as e:
        raise missing_weights_error(preset.base, "--base") from e


def missing_weights_error(where: str, option: str = "") -> ModelError:
    """The error for weights that are not on this machine: nothing is downloaded unasked. option: names their folder."""
    give = f", or give their folder with {option}" if option else ""
    return ModelError(f"the weights of {where} are not on this machine", f"Type: hf download {where}{give}")
