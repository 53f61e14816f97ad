"""The figures of a comparison, one file a subject."""

from collections.abc import Callable

from al_lightning.report.asked import Asked
from al_lightning.report.compare import Comparison
from al_lightning.report.figures import asked as queries
from al_lightning.report.figures import clusters, curves, measures, pool, predictions, seconds
from al_lightning.report.figures.style import Drawing

__all__ = ["FIGURES", "Drawing"]

# In the order of the page; each is None where its data is missing.
FIGURES: dict[str, Callable[[Comparison, Asked], Drawing | None]] = {
    "learning-curves": lambda comparison, asked: curves.learning_curves(
        comparison, asked.pool_size, comparison.measure
    ),
    "measures": lambda comparison, _: measures.others(comparison, comparison.measure),
    "measures-alike": lambda comparison, _: measures.repeats(comparison, comparison.measure),
    "clusters": lambda comparison, _: clusters.clusters(comparison, comparison.measure),
    "confusion": lambda comparison, asked: predictions.confusion(asked, comparison.methods),
    "reliability": lambda comparison, asked: predictions.reliability(asked, comparison.methods),
    "class-balance": lambda comparison, asked: queries.balance(asked, comparison.methods),
    "overlap": lambda comparison, asked: queries.jaccard(asked, comparison.methods),
    "scores": lambda comparison, asked: queries.scores(asked, comparison.methods),
    "pool-map": lambda comparison, asked: pool.pool_map(asked, comparison.methods),
    "seconds": lambda comparison, _: seconds.phases(comparison),
}
