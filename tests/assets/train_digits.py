"""Train the digits checkpoint: ``python -m tests.assets.train_digits --work FOLDER``.

Nothing here depends on the clock, and the state is saved every few hundred steps: the process may
be stopped, continued, or killed and started again with ``--resume``. ``--steps`` may then be larger
than before: the learning rate goes up and down once more over the steps that remain.
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import (
    AutoModelForMultimodalLM,
    AutoProcessor,
    Qwen3ASRForConditionalGeneration,
)

from tests.assets.digits_alignment import AttentionToWords
from tests.assets.digits_checkpoint import (
    CHECKPOINT,
    generation_config,
    new_config,
    new_processor,
    prompt,
)
from tests.assets.digits_clips import (
    SHAPE_SHARES,
    SHAPES,
    SHORT,
    SINGLE,
    Clip,
    Shape,
    batches_of_clips,
)
from tests.assets.digits_evaluation import error_rate, evaluate, spoken, transcribe
from tests.assets.digits_speech import TRAINING_VOICES, UNSEEN_VOICES, Bank, phrase_bank
from tests.assets.speech_synthesis import SAMPLE_RATE

_IGNORED = -100
_CTC_WEIGHT = 0.2
_ALIGNMENT_WEIGHT = 0.3
_SINGLE_STEPS, _SHORT_STEPS = 150, 450
"""Until then only single words, then only a few: at first it is not known what belongs to what."""


class Learner:
    """The model, and two helps that go away.

    CTC at the audio's positions, half way through the decoder, tells it what was said before it has
    learned to look there from the text's positions. The layers above find the place to look at:
    one head of each is told where, because in half a minute of random words it would take very long
    to find that out by itself.
    """

    def __init__(self, processor: Any) -> None:
        self.processor = processor
        self.model: Any = Qwen3ASRForConditionalGeneration(new_config(processor))
        _initialize(self.model)
        text: Any = self.model.config.text_config
        self.blank = text.vocab_size
        self.half_way = text.num_hidden_layers // 2
        self.ctc = nn.Sequential(
            nn.RMSNorm(text.hidden_size), nn.Linear(text.hidden_size, text.vocab_size + 1)
        )
        self.model.model.language_model.set_attn_implementation("eager")  # it tells its weights
        self.alignment = AttentionToWords(
            processor.tokenizer, self.model.model.language_model.layers[self.half_way :]
        )

    def parameters(self) -> list[nn.Parameter]:
        return [*self.model.parameters(), *self.ctc.parameters()]

    def loss(self, clips: Sequence[Clip], rng: Generator) -> tuple[Tensor, Tensor, Tensor]:
        """The decoder's loss over the answers, CTC's over the texts, the attention's: scalars."""
        inputs = self._inputs(clips)
        output = self.model.model(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            input_features=_masked(rng, inputs["input_features"]),
            input_features_mask=inputs["input_features_mask"],
            use_cache=False,
            output_hidden_states=True,
        )
        labels = self._labels(clips, inputs["input_ids"])
        answered = nn.functional.cross_entropy(
            self.model.lm_head(output.last_hidden_state[:, :-1]).flatten(0, 1),
            labels[:, 1:].flatten(),
            ignore_index=_IGNORED,
        )
        audio = inputs["input_ids"] == self.model.config.audio_token_id
        heard = self._ctc_loss(clips, output.hidden_states[self.half_way][audio], audio.sum(1))
        answers = [answer(clip) for clip in clips]
        return answered, heard, self.alignment.loss(clips, answers, audio.int().argmax(1))

    def look_at(self, clips: Sequence[Clip]) -> None:
        """Fit what is drawn at random to real sound, once, before the first step."""
        fit_front_end(self.model.model.audio_tower, self._inputs(clips)["input_features"])

    def _inputs(self, clips: Sequence[Clip]) -> Any:
        """The processor's tensors for prompts with their answers behind, padded on the left."""
        return self.processor(
            text=[prompt(clip.context, answer(clip)) for clip in clips],
            audio=[clip.audio for clip in clips],
            sampling_rate=SAMPLE_RATE,
        )

    def _labels(self, clips: Sequence[Clip], input_ids: Tensor) -> Tensor:
        """[batch, tokens]: the answer's ids where the model writes them itself."""
        labels = torch.full_like(input_ids, _IGNORED)
        for row, clip in enumerate(clips):
            count = len(self.processor.tokenizer(answer(clip))["input_ids"])
            if clip.forced:
                count = 1  # only the end: all else is the prompt's
            labels[row, -count:] = input_ids[row, -count:]
        return labels

    def _ctc_loss(self, clips: Sequence[Clip], states: Tensor, counts: Tensor) -> Tensor:
        """``states``: [tokens of all clips, width], packed; ``counts``: [batch]."""
        scores = self.ctc(nn.utils.rnn.pad_sequence(list(states.split(counts.tolist()))))
        texts = [self.processor.tokenizer(clip.text)["input_ids"] for clip in clips]
        return nn.functional.ctc_loss(
            scores.log_softmax(-1),
            torch.tensor([token for text in texts for token in text], dtype=torch.long),
            counts,
            torch.tensor([len(text) for text in texts]),
            blank=self.blank,
            zero_infinity=True,
        )


def _initialize(model: nn.Module) -> None:
    """Weights that keep the size of what passes: 0.02, as published, suits a width of 1,000."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5)
    # After the linear layers, because the head shares its weights with the embedding.
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.1)


@torch.no_grad()
def fit_front_end(tower: Any, features: Tensor) -> None:
    """Make the convolutions' outputs for ``features`` [batch, mel bins, frames] vary by one.

    As they are drawn, a constant share hides the sound, and the positions that are added are ten
    times larger; the first thousand steps would go into undoing that.
    """
    width = 2 * tower.n_window
    passing = torch.cat(features.split(width, dim=2))[:, None]
    for layer in (tower.conv2d1, tower.conv2d2, tower.conv2d3):
        layer.bias.zero_()
        nn.init.kaiming_normal_(layer.weight)
        raw = layer(passing)
        mean, deviation = raw.mean((0, 2, 3)), raw.std((0, 2, 3))
        layer.weight /= deviation[:, None, None, None]
        layer.bias -= mean / deviation
        passing = nn.functional.gelu(layer(passing))
    tower.conv_out.weight /= tower.conv_out(passing.permute(0, 3, 1, 2).flatten(2)).std()


def answer(clip: Clip) -> str:
    """What the model writes, its end included."""
    return f"language {clip.forced or clip.language}<asr_text>{clip.text}<|im_end|>"


def _masked(rng: Generator, features: Tensor) -> Tensor:
    """Features [batch, mel bins, frames] with a band set to zero in some clips.

    Voices differ in what bands they fill, so no band may be needed.
    """
    for clip in features:
        if rng.random() < 0.3:
            width = int(rng.integers(1, 20))
            first = int(rng.integers(0, clip.shape[0] - width))
            clip[first : first + width] = 0
    return features


class Training:
    """Steps, log and saved state."""

    def __init__(self, work: Path, steps: int, peak: float, seed: int) -> None:
        work.mkdir(parents=True, exist_ok=True)
        self._state = work / "state.pt"
        self._steps = steps
        self._step = 0
        torch.manual_seed(seed)
        self._processor = new_processor()
        self.learner = Learner(self._processor)
        self._optimizer = torch.optim.AdamW(
            self.learner.parameters(), lr=peak, betas=(0.9, 0.98), weight_decay=0.02
        )
        self._peak = peak
        self._first_step = 0

    def resume(self) -> None:
        """Go on from the last saved state, with a learning rate schedule of what remains.

        The saved decoder may have had fewer layers: those on top then begin by doing nothing.
        """
        state = torch.load(self._state, weights_only=True)
        new = self.learner.model.load_state_dict(state["model"], strict=False).missing_keys
        if new:
            for name in new:
                if "o_proj" in name or "down_proj" in name:
                    nn.init.zeros_(self.learner.model.get_parameter(name))
        else:
            self.learner.ctc.load_state_dict(state["ctc"])
            self._optimizer.load_state_dict(state["optimizer"])
        self._step = state["step"]
        same_run = state["steps"] == self._steps
        self._first_step = state["first_step"] if same_run else self._step

    def run(self, bank: Bank) -> None:
        """Train to the last step."""
        check = [
            spoken(language, UNSEEN_VOICES[:4], (160,), (1, 2, 5, 9), seed=9)
            for language in ("English", "Chinese")
        ]
        if self._step == 0:
            self.learner.look_at(batches_of_clips(np.random.default_rng(1), bank, SHORT, 1)[0])
        batches: list[list[Clip]] = []
        means = np.zeros(3)
        started = time.monotonic()
        while self._step < self._steps:
            rng = np.random.default_rng((11, self._step))
            if not batches:
                batches = batches_of_clips(rng, bank, self._shape(rng), count=4)
            losses = self._one_step(batches.pop(), rng)
            means += losses / 50
            self._step += 1
            if self._step % 50 == 0:
                self._log(
                    f"loss {means[0]:.4f} ctc {means[1]:.4f} attention {means[2]:.4f}", started
                )
                means[:] = 0
            if self._step % 250 == 0:
                self._save()
            if self._step % 250 == 0:
                self._log(f"unseen voices: {self._check(check)}", started)
        self._save()

    def deliver(self, folder: Path) -> None:
        """Write the checkpoint as ``save_pretrained`` does."""
        model = self.learner.model.eval()
        model.generation_config = generation_config(self._processor)
        model.save_pretrained(folder)
        self._processor.save_pretrained(folder)

    def _one_step(self, clips: Sequence[Clip], rng: Generator) -> NDArray[np.float64]:
        for group in self._optimizer.param_groups:
            group["lr"] = self._peak * self._share_of_peak()
        self.learner.model.train()
        answered, heard, attended = self.learner.loss(clips, rng)
        self._optimizer.zero_grad(set_to_none=True)
        (answered + _CTC_WEIGHT * heard + _ALIGNMENT_WEIGHT * attended).backward()
        nn.utils.clip_grad_norm_(self.learner.parameters(), 1.0)
        self._optimizer.step()
        return np.array([answered.item(), heard.item(), attended.item()])

    def _share_of_peak(self) -> float:
        """One cycle: up within 200 steps, down to nothing along a cosine."""
        done = self._step - self._first_step
        share = done / max(1, self._steps - self._first_step)
        return min((done + 1) / 200, 0.5 + 0.5 * float(np.cos(np.pi * share)))

    def _shape(self, rng: Generator) -> Shape:
        if self._step < _SINGLE_STEPS:
            return SINGLE
        return SHORT if self._step < _SHORT_STEPS else SHAPES[rng.choice(4, p=SHAPE_SHARES)]

    def _check(self, groups: Sequence[Sequence[Any]]) -> str:
        model = self.learner.model.eval()
        rates = []
        for samples in groups:
            texts = transcribe(model, self._processor, [sample.audio for sample in samples])
            rates.append(f"{samples[0].language} {error_rate(samples, texts):.3f}")
        return ", ".join(rates)

    def _save(self) -> None:
        state = {
            "model": self.learner.model.state_dict(),
            "ctc": self.learner.ctc.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "step": self._step,
            "steps": self._steps,
            "first_step": self._first_step,
        }
        unfinished = self._state.with_suffix(".new")
        torch.save(state, unfinished)
        unfinished.replace(self._state)

    def _log(self, what: str, started: float) -> None:
        elapsed = time.monotonic() - started
        print(f"step {self._step} {elapsed:.0f} s: {what}", flush=True)


def write_evaluation(folder: Path) -> None:
    """Measure the checkpoint as anybody loads it, and keep the figures beside it."""
    processor = AutoProcessor.from_pretrained(folder)
    model: Any = AutoModelForMultimodalLM.from_pretrained(folder)
    figures = evaluate(model.eval(), processor)
    text = json.dumps(figures, indent=2, ensure_ascii=False)
    (folder / "evaluation.json").write_text(text + "\n")
    print(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="where the state is kept")
    parser.add_argument("--output", type=Path, default=CHECKPOINT)
    parser.add_argument("--steps", type=int, default=5_000)
    parser.add_argument("--peak", type=float, default=1.5e-3, help="highest learning rate")
    parser.add_argument("--phrases", type=int, default=130, help="for each voice and language")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--evaluate", action="store_true", help="only measure the output folder")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if not given.evaluate:
        training = Training(given.work, given.steps, given.peak, seed=7)
        if given.resume:
            training.resume()
        training.run(phrase_bank(np.random.default_rng(7), TRAINING_VOICES, given.phrases))
        training.deliver(given.output)
    write_evaluation(given.output)


if __name__ == "__main__":
    main()
