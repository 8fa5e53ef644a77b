"""Small checks of the trainer. From train/: python -m unittest discover tests"""

import datetime
import random
import re
import sys
import unittest
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from omni import sketch, words  # noqa: E402
from omni.audio import AudioTower  # noqa: E402
from omni.config import normalised, tiny_config  # noqa: E402
from omni.episodes import Builder, answer_weights, collate  # noqa: E402
from omni.layout import Layout  # noqa: E402
from omni.learn import seconds_until  # noqa: E402
from omni.linear import Linear  # noqa: E402
from omni.optimise import orthogonalised  # noqa: E402
from omni.preprocess import audio_tokens, log_mel, patches  # noqa: E402
from omni.start import initialise  # noqa: E402
from omni.targets import Targets  # noqa: E402
from omni.thinker import Thinker  # noqa: E402
from omni.tokens import extended, train  # noqa: E402

TOKENIZER = train(sketches=300)
CONFIG = normalised(tiny_config())
WORLD = Path(__file__).resolve().parents[2] / "world/src"


class LayoutTest(unittest.TestCase):
    def test_film_with_sound_is_cut_into_two_second_chunks(self):
        # The numbers of a run recorded from transformers 5.23: 5 slices of 9 x 16 cells, 125 sound tokens.
        layout = Layout(CONFIG, TOKENIZER)
        ids, positions = layout.prompt([("video", (5, 9, 16, 1.0, 125))])
        start = list(ids).index(CONFIG["vision_start_token_id"])
        runs, first = [], start
        for k in range(start, len(ids)):
            if k + 1 == len(ids) or ids[k + 1] != ids[k]:
                runs.append((k + 1 - first, positions[0, first] - positions[0, start], positions[0, k] - positions[0, start]))
                first = k + 1
        self.assertEqual([tuple(map(int, r)) for r in runs[:10]], [
            (1, 0, 0), (1, 0, 0), (288, 1, 26), (50, 1, 50), (288, 51, 76), (50, 51, 100), (144, 101, 101), (25, 101, 125),
            (1, 126, 126), (1, 126, 126)])

    def test_text_after_a_picture_goes_on_after_its_longer_side(self):
        layout = Layout(CONFIG, TOKENIZER)
        ids, positions = layout.prompt([("image", (4, 6))])
        end = list(ids).index(CONFIG["vision_end_token_id"])
        begin = list(ids).index(CONFIG["vision_start_token_id"])
        self.assertEqual(positions[0, end] - positions[0, begin], 7)


class PreprocessTest(unittest.TestCase):
    def test_patch_rows_run_through_merged_cells(self):
        frame = np.zeros((1, 56, 56, 3), np.uint8)
        frame[0, 14:28, 0:14] = 255
        rows = patches(frame)[0]
        bright = [k for k in range(16) if rows[k].mean() > 1.5]
        self.assertEqual(bright, [2])

    def test_a_whole_second_has_a_hundred_frames_and_twenty_five_tokens(self):
        mel = log_mel(np.sin(np.arange(16000) * 0.3).astype(np.float32))
        self.assertEqual(tuple(mel.shape), (100, 128))
        tower = AudioTower(CONFIG["audio_config"])
        for frames in (1, 2, 3, 4, 99, 100, 199, 200, 201, 203, 477):
            if audio_tokens(frames):
                with torch.no_grad():
                    self.assertEqual(len(tower([torch.zeros(frames, 128)])[0]), audio_tokens(frames), frames)


class WorldTest(unittest.TestCase):
    def test_words_are_those_of_the_rust_world(self):
        source = (WORLD / "vocabulary.rs").read_text() + (WORLD / "sound/mod.rs").read_text() + (WORLD / "attributes.rs").read_text()
        for word in [*words.NAMES, *words.VERBS, *words.OBJECTS, *words.PLACES, *words.SHAPES, *words.COLOURS, *words.EVENTS]:
            self.assertIn(f'"{word}"', source)

    def test_wordings_and_sizes_are_those_of_the_rust_world(self):
        tasks = "".join(p.read_text() for p in sorted((WORLD / "tasks").glob("*.rs")))
        lists = [sketch.SOUND_AT_AN_END, sketch.SOUND_NEXT_TO, sketch.COLOUR_OF, sketch.PLACE_OF, sketch.HOW_MANY, sketch.PICTURE_OF,
                 sketch.SHOWN_AT_AN_END, sketch.SEEN_WHEN_HEARD, sketch.HEARD_WHILE_SEEN, sketch.CHAT, sketch.SHOWS,
                 *sketch.PROMPTS.values()]
        for wordings in lists:
            quoted = r",?\s*".join(re.escape(f'"{w}"') for w in wordings)
            self.assertRegex(tasks, r"\[\s*" + quoted + r",?\s*\]")
        sizes = re.findall(r"\((\d+), (\d+)\)", (WORLD / "picture.rs").read_text().split("SIZES")[1].split(";")[1])
        self.assertEqual([(int(w), int(h)) for w, h in sizes], sketch.SIZES)

    def test_dense_practice_tells_the_facts_and_asks_about_them(self):
        rng = random.Random(4)
        for _ in range(30):
            found = sketch.sample("lookup", rng, 2)
            (_, instruction), (_, told) = found["pieces"]
            self.assertIn(instruction, sum(sketch.PROMPTS.values(), []))
            self.assertEqual(len(found["branches"]), 6)
            for question, (conclusion, answer), letter in found["branches"]:
                self.assertIn(answer.removeprefix("So the answer is ")[:-5], conclusion)
                self.assertIn(f" ({letter}) ", question)
                self.assertNotIn(answer, told)

    def test_further_merges_leave_other_texts_as_they_were(self):
        longer = extended(TOKENIZER, [("x", "y"), ("xy", "z")])
        self.assertEqual(longer.encode("xyz").tokens, ["xyz"])
        text = "So the answer is bell (B)."
        self.assertEqual(longer.encode(text).ids, TOKENIZER.encode(text).ids)

    def test_held_out_combinations_never_occur(self):
        rng = random.Random(3)
        for _ in range(200):
            for kind, value in sketch.sample("visual-qa", rng)["pieces"]:
                for shape, colour, _ in value["objects"] if kind == "image" else []:
                    self.assertFalse(words.look_is_held_out(shape, colour))

    def test_every_word_is_one_token_and_the_letter_too(self):
        for word in [*words.NAMES, *words.OBJECTS, *words.SHAPES, *words.COLOURS, *words.EVENTS]:
            self.assertEqual(len(TOKENIZER.encode(" " + word).ids), 1, word)
        option, answer = TOKENIZER.encode(" (B) bell\n").tokens, TOKENIZER.encode("So the answer is bell (B).").tokens
        for token in ("Ġ(", "B", "Ġbell"):
            self.assertIn(token, option)
            self.assertIn(token, answer)


class EpisodeTest(unittest.TestCase):
    def test_letter_and_conclusion_weigh_more(self):
        sentences = ["The first sound is rain.", "So the first sound is rain.", "So the answer is rain (C)."]
        encoding = TOKENIZER.encode(" ".join(sentences))
        weights = dict(zip(encoding.tokens, answer_weights(sentences, "C", encoding, False)))
        self.assertEqual(weights["C"], 6.0)
        self.assertEqual(weights["The"], 1.0)

    def test_branches_equal_single_questions(self):
        """Two questions packed behind one film give the losses of two samples."""
        torch.manual_seed(0)
        Linear.compute = torch.float32
        model = Thinker(CONFIG)
        initialise(model, TOKENIZER)
        table = model.model.embed_tokens.weight.detach()
        builder = Builder(Layout(CONFIG, TOKENIZER), Targets(table.numpy(), TOKENIZER))
        both = sketch.sample("audio-qa", random.Random(5), 2)
        ones = [{**both, "branches": [b]} for b in both["branches"]]
        def logits(sample):
            e = builder.episode(sample, *builder.pieces(sample))
            x, positions, rows, wanted, weights, mask = collate([e], table)
            mask = None if mask is None else mask.float()
            with torch.no_grad():
                return model.lm_head(model.model(x, positions, rows=rows, mask=mask))[0]
        apart = torch.cat([logits(s) for s in ones])
        self.assertLess(float((logits(both) - apart).abs().max()), 1e-3)


class OptimiserTest(unittest.TestCase):
    def test_the_time_at_which_training_ends_may_be_tomorrow(self):
        late = datetime.datetime(2026, 1, 1, 23, 0)
        self.assertEqual(seconds_until("23:30", late), 1800)
        self.assertEqual(seconds_until("00:30", late), 5400)
        self.assertEqual(seconds_until("22:00", late), -3600)

    def test_orthogonalised_has_singular_values_near_one(self):
        values = torch.linalg.svdvals(orthogonalised(torch.randn(64, 32, generator=torch.Generator().manual_seed(1))))
        self.assertGreater(float(values.min()), 0.5)
        self.assertLess(float(values.max()), 1.5)


if __name__ == "__main__":
    unittest.main()
