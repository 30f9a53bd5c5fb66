"""What the language model reads: its tokenizer, the questions as text, and answers and clues as numbers of tokens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deemo_data.baseline.llama.presets import Preset
from deemo_data.errors import ModelError

if TYPE_CHECKING:
    from deemo_data.baseline.data import Example


BEGIN, END, PAD = "<s>", "</s>", "<pad>"
ANSWER = "\nAnswer:"


@dataclass(frozen=True)
class Language:
    """A tokenizer, and the numbers of the tokens with a meaning of their own."""

    tokenizer: Any
    longest: int

    @property
    def begin(self) -> int:
        return int(self.tokenizer.bos_token_id if self.tokenizer.bos_token_id is not None else self.end)

    @property
    def end(self) -> int:
        return int(self.tokenizer.eos_token_id)

    @property
    def pad(self) -> int:
        return int(self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else self.end)

    def __len__(self) -> int:
        return len(self.tokenizer)

    def numbers(self, text: str) -> list[int]:
        """The tokens of a text, at most `longest` of them."""
        return list(self.tokenizer.encode(text, add_special_tokens=False))[: self.longest]

    def text(self, numbers: Sequence[int]) -> str:
        return str(self.tokenizer.decode(list(numbers), skip_special_tokens=True)).strip()

    def question(self, instruction: str, transcript: str = "") -> list[int]:
        """What is asked, after what is said; the answer comes next."""
        says = self.numbers(f"The person says: {transcript}") + self.numbers("\n") if transcript else []
        return says + self.numbers(instruction) + self.numbers(ANSWER)

    def answer(self, text: str) -> list[int]:
        """The tokens of an answer, the last of which ends it."""
        return [*self.numbers(f" {text}")[: self.longest - 1], self.end]


def learn(examples: Iterable[Example], preset: Preset, emotions: Sequence[str]) -> Language:
    """A tokenizer (byte pairs, so that nothing is unknown) of the words of the training split and the names of the emotions."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=preset.vocabulary, special_tokens=[PAD, BEGIN, END], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )  # fmt: skip
    texts = [t for e in examples for t in (e.instruction, e.asked, e.transcript, e.reasoning, *e.clues.values()) if t]
    usual = [f" {e}" for e in emotions] * 4 + [f"The person says: x{ANSWER}"] * 4
    tokenizer.train_from_iterator([*texts, *usual], trainer)
    return _of(PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=BEGIN, eos_token=END, pad_token=PAD), preset)


def kept(said: str, preset: Preset) -> Language:
    """A tokenizer that was learnt, as `written` has it."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer.from_str(said)
    return _of(PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=BEGIN, eos_token=END, pad_token=PAD), preset)


def written(language: Language) -> str:
    """A tokenizer that was learnt, as JSON."""
    return str(language.tokenizer.backend_tokenizer.to_str())


def pretrained(preset: Preset) -> Language:
    """The tokenizer that lies beside the base. Raises ModelError when there is none on this machine."""
    from transformers import AutoTokenizer

    try:
        return _of(AutoTokenizer.from_pretrained(preset.base, local_files_only=True), preset)
    except (OSError, ValueError) as e:
        raise missing(preset.base, "--base") from e


def missing(where: str, option: str = "") -> ModelError:
    """What to say where weights are not on this machine: nothing is fetched without being asked."""
    give = f", or give their folder with {option}" if option else ""
    return ModelError(f"the weights of {where} are not on this machine", f"Type: hf download {where}{give}")


def _of(tokenizer: Any, preset: Preset) -> Language:
    return Language(tokenizer, preset.longest)
