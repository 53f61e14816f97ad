"""The figures of a comparison, one file a subject."""

from collections.abc import Callable

from al_lightning.report.compare import Comparison
from al_lightning.report.details import Details
from al_lightning.report.figures import clusters, curves, measures, pool, predictions, queries, seconds
from al_lightning.report.figures.style import Drawing

__all__ = ["FIGURES", "Drawing"]

# In the order of the page; each is None where its data is missing.
FIGURES: dict[str, Callable[[Comparison, Details], Drawing | None]] = {
    "learning-curves": lambda comparison, details: curves.learning_curves(
        comparison, details.pool_size, comparison.measure
    ),
    "measures": lambda comparison, _: measures.others(comparison, comparison.measure),
    "measures-alike": lambda comparison, _: measures.repeats(comparison, comparison.measure),
    "clusters": lambda comparison, _: clusters.clusters(comparison, comparison.measure),
    "confusion": lambda comparison, details: predictions.confusion(details, comparison.methods),
    "reliability": lambda comparison, details: predictions.reliability(details, comparison.methods),
    "class-balance": lambda comparison, details: queries.balance(details, comparison.methods),
    "overlap": lambda comparison, details: queries.jaccard(details, comparison.methods),
    "scores": lambda comparison, details: queries.scores(details, comparison.methods),
    "pool-map": lambda comparison, details: pool.pool_map(details, comparison.methods),
    "seconds": lambda comparison, _: seconds.phases(comparison),
}
