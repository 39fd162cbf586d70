"""Table 2: rows are kept and refused when they are of another comparison; short lists and differences by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pytorch_metric_learning", reason="training needs the extra 'train'")

from dprnet.check import check
from dprnet.core.config import load_recipe
from dprnet.core.errors import BadDataset, BadRecipe
from dprnet.data.labelled import Photo
from dprnet.evaluate.photo_sets import LoadedSets, PhotoSet, load_sets
from dprnet.evaluate.rerank import reranked
from dprnet.evaluate.table2.rows import Bench, Row, TaskRanks, best_rate, measure_vectors, method_row, tasks_key
from dprnet.evaluate.table2.table import difference, recall, table2
from dprnet.train.methods.marks import Marks
from dprnet.train.methods.recipe import METHODS, Table2Recipe, unit_of
from dprnet.train.methods.training import Material
from dprnet.train.photos import PhotoCache
from dprnet.train.shots import Shot

RECIPE = Table2Recipe(seeds=(0, 1), rates=(0.1, 0.2), short=3)


def shot(name, number=0):
    return Shot(Photo(Path(f"{name}{number}.jpg"), None, name, 0, "shop"))


def tasks(queries="ab", gallery="abc"):
    shots = [*(shot(name, 9) for name in queries), *(shot(name) for name in gallery)]
    cache = PhotoCache(np.zeros((len(shots), 8, 8, 3), np.uint8), tuple(shots), np.zeros(len(shots), np.int64))
    rows = np.arange(len(shots))
    return LoadedSets(cache, (("try", rows[: len(queries)], rows[len(queries) :]),))


def ranks(*values, instances="aabc", name="try"):
    return TaskRanks(
        name=name, gallery_photos=9, gallery_items=9, instances=tuple(instances[: len(values)]), ranks=values,
        precisions=tuple(1 / max(value, 1) for value in values),
    )  # fmt: skip


def bench(out):
    marks = Marks(np.zeros((0, 8, 3), np.float32), np.zeros((0, 0), np.float32), ())
    return Bench(RECIPE, out, Material(tasks().cache, marks))


def put(out, name, unit, values):
    row = Row(method=unit.method, seed=unit.seed, lr=unit.lr, recipe=json.loads(unit.model_dump_json()),
              measured=tasks_key(tasks(), RECIPE.short), tasks=(ranks(*values),), seconds=1.0)  # fmt: skip
    (out / name).parent.mkdir(exist_ok=True)
    (out / name).write_text(row.model_dump_json())


def test_a_row_that_is_there_is_not_made_again(tmp_path):
    put(tmp_path, "rows/kpm-seed1.json", unit_of(RECIPE, "kpm", seed=1, lr=0.1, images=RECIPE.images), (1, 4))
    assert method_row(bench(tmp_path), "kpm", 1, 0.1, tasks()).tasks[0].ranks == (1, 4)


def test_rows_of_another_comparison_are_refused(tmp_path):
    put(tmp_path, "rows/kpm-seed1.json", unit_of(RECIPE, "kpm", seed=1, lr=0.1, images=RECIPE.images), (1, 4))
    with pytest.raises(BadRecipe, match="lr differ"):
        method_row(bench(tmp_path), "kpm", 1, 0.2, tasks())
    with pytest.raises(BadRecipe, match="tasks differ"):
        method_row(bench(tmp_path), "kpm", 1, 0.1, tasks(gallery="abcd"))


def test_the_best_rate_is_that_of_the_trials(tmp_path):
    for lr, values in ((0.1, (1, 4)), (0.2, (1, 2))):
        unit = unit_of(RECIPE, "gsn", seed=0, lr=lr, images=RECIPE.trial_images)
        put(tmp_path, f"trials/gsn-{lr:g}.json", unit, values)
    assert best_rate(bench(tmp_path), "gsn", tasks()) == (0.2, {0.1: (1 + 1 / 4) / 2, 0.2: 0.75})


def test_ranks_of_vectors_by_hand():
    vectors = np.array([[1, 0], [0, 1], [0.8, 0.6], [0.6, 0.8], [1, 0]], np.float32)  # queries a b, gallery a b c
    found = measure_vectors(vectors, tasks(), RECIPE)[0]
    assert found.ranks == (2, 1)
    assert found.precisions == (0.5, 1.0)
    lost = measure_vectors(vectors, tasks(gallery="acd"), RECIPE)[0]
    assert lost.ranks == (2, 0)
    assert lost.hits(50).tolist() == [1, 0]


def test_a_short_list_is_put_in_order_and_stays_above_the_rest():
    similarity = np.array([[0.9, 0.5, 0.8, 0.1], [0.1, 0.2, 0.3, 0.4]])
    asked = []

    def judge(query, photos):
        asked.append((query.tolist(), photos.tolist()))
        return np.array([0.5, 0.5]) if query[0] else np.array([-3.0, -2.0])

    again = reranked(similarity, 2, judge)
    assert asked == [([0, 0], [0, 2]), ([1, 1], [3, 2])]
    assert (-again[0]).argsort().tolist() == [2, 0, 1, 3]
    assert again[1, 3] == again[1, 2]  # what the judge holds for equal stays equal
    assert again[1, 2] > again[1, 1] > again[1, 0]


def test_recall_and_differences_are_over_garments_and_seeds():
    ours = [(ranks(1, 1, 1, 0),), (ranks(1, 1, 2, 0),)]
    other = [(ranks(1, 2, 1, 0),), (ranks(2, 2, 1, 1),)]
    assert recall([one[0] for one in ours], 1).value == pytest.approx((1 + 1 + 0.5 + 0) / 4)
    less = difference(ours, other, 1)
    assert less.value == pytest.approx((2.5 - (0.5 + 0 + 1 + 0.5)) / 4)
    assert less.low <= less.value <= less.high
    assert difference(ours, ours, 1).low == difference(ours, ours, 1).high == 0


def test_a_thinned_task_keeps_every_right_answer():
    task = PhotoSet("t", tuple(shot(name, 9) for name in "abcdef"), tuple(shot(name) for name in "abcdefuvwxyz"))
    small = task.thinned(2, 3)
    assert [one.photo.instance for one in small.queries] == ["a", "f"]
    assert [one.photo.instance for one in small.gallery] == ["a", "f", "b", "u", "z"]


def test_a_task_without_photos_is_refused(tmp_path):
    with pytest.raises(BadDataset, match="0 queries"):
        load_sets([PhotoSet("t", (), (shot("a"),))], 8)
    with pytest.raises(BadDataset, match="nothing to measure on"):
        table2(tmp_path, recipe=Table2Recipe(luma=False))


@pytest.mark.parametrize("name", ["cpu", "gpu"])
def test_the_recipes_are_read_and_hold_every_method(request, name):
    recipe = load_recipe(request.config.rootpath / "recipes" / "table2" / f"{name}.toml", Table2Recipe)
    assert set(recipe.methods) == set(METHODS)
    assert len(recipe.seeds) == 3
    told = check(request.config.rootpath / "recipes" / "table2" / f"{name}.toml").told
    assert told.startswith("compares 10 methods")


def test_a_wrong_method_is_named(tmp_path):
    path = tmp_path / "r.toml"
    path.write_text('methods = ["clip"]')
    with pytest.raises(BadRecipe, match="unknown method 'clip'"):
        load_recipe(path, Table2Recipe)


@pytest.mark.slow
@pytest.mark.data
def test_every_row_runs(data_root, tmp_path, monkeypatch):
    monkeypatch.setenv("DPRNET_DATA", str(data_root))
    made = table2(tmp_path, quick=True)
    assert {path.name for path in (tmp_path / "rows").iterdir()} == {f"{name}-seed0.json" for name in METHODS}
    assert len(made.tables) == 2
    assert [row[0] for row in made.tables[0].rows][:10] == [one.title for one in METHODS.values()]
    assert made.tables[0].rows[8][1] == "34.2 / 72.3 / 80.7"
    text = (tmp_path / "table2.md").read_text()
    assert "| KPM | 21.3 / 54.1 / 65.2 |" in text
    assert all(claim.holds is None for claim in made.claims)
    assert table2(tmp_path, quick=True).figures == json.loads((tmp_path / "table2.json").read_text())["figures"]
