"""What somebody has open: nobody else gets it, it counts for the budget, and it is let go."""

from pathlib import Path

from label_servers import add_live_query, store_of, write_predictions
from test_label_desk import desk_of

from al_lightning.label.handing import grid_images, is_done, lost, next_images, region_images
from al_lightning.people.records import Given


def test_a_budget_holds_wherever_images_are_shown(tmp_path: Path) -> None:
    """What is open counts, whoever has it; what a file brought does not."""
    store = store_of(tmp_path, 30)
    query = add_live_query(store, [])
    write_predictions(tmp_path, query, dict.fromkeys(range(1, 31), (1, 0.9)))
    store.answer(1, "import-0001", [Given(item, "label", 1) for item in range(1, 6)], "import")
    desk = desk_of(store, tmp_path)
    assert (desk.n_paid, desk.given[1]) == (0, 5)
    page = [item for item, _ in next_images(desk, 1, 4, [], 0.5, 10, 0)]
    grid = [item for item, _ in grid_images(desk, 2, 1, 3, [], [], 10, 0)[0]]
    others = [item for item in range(1, 31) if item not in grid]
    region = [item for item, _ in region_images(desk, 2, others, 10, 0)]
    assert (len(page), len(grid), len(region)) == (4, 3, 3)
    assert next_images(desk, 1, 9, page, 0.5, 10, 0) == grid_images(desk, 1, 1, 9, page, [], 10, 0)[0] == []
    assert not is_done(desk, 1, 10)
    # Loaded anew, a page has again what it had; what a grid lets go for another class, and what is undone, others get.
    assert [item for item, _ in next_images(desk, 1, 9, [], 0.5, 10, 0)] == page
    assert grid_images(desk, 2, 2, 9, grid[:1], [], 10, 0)[0] == []
    found = [item for item, _ in next_images(desk, 1, 9, page, 0, 10, 0)]
    assert len(found) == 2
    store.answer(1, "answered-1", [Given(item, "skip") for item in [*page, *found]], "page")
    store.answer(2, "answered-2", [Given(item, "label", 1) for item in [*region, *grid[:1]]], "map")
    desk.catch_up()
    assert (desk.n_paid, next_images(desk, 1, 9, [], 0.5, 10, 0), is_done(desk, 1, 10)) == (10, [], True)
    store.undo(2, "undone-001")
    desk.catch_up()
    assert len(next_images(desk, 1, 9, [], 0.5, 10, 0)) == 4


def test_what_somebody_takes_out_of_a_grid_is_everybody_s(tmp_path: Path) -> None:
    store = store_of(tmp_path, 9)
    write_predictions(tmp_path, add_live_query(store, []), {item: (1, 1 - item / 100) for item in range(1, 10)})
    desk = desk_of(store, tmp_path)

    def grid(who: int, n: int, have: list[int], past: list[int]) -> tuple[list[int], int]:
        found, left = grid_images(desk, who, 1, n, have, past, None, 0)
        return [item for item, _ in found], left

    assert grid(1, 3, [], []) == ([1, 2, 3], 6)
    assert grid(1, 2, [1], [2, 3]) == ([4, 5], 4)
    assert {2, 3} == {item for item in (1, 2, 3, 4, 5) if item in desk.free}
    assert grid(2, 3, [], []) == ([2, 3, 6], 6)
    # One that turns to another class lets go of all; another person's page says what it has lost.
    assert grid(1, 1, [], []) == ([1], 8)
    assert lost(desk, 1, [1, 2, 4, 99]) == [2, 4, 99]
