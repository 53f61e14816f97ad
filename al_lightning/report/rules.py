"""The rules of a comparison, in words."""

RULES: tuple[str, ...] = (
    "Runs are compared within a setting: same data set, and same settings outside of the strategy. Where runs of a "
    "strategy differ in its own settings, each variant counts as a strategy. Runs that train once and never query are "
    "no strategy; they are shown with every setting that differs from theirs only in how it queries.",
    "A run given twice counts once. Of two runs of one strategy and seed, the one with more rounds counts.",
    "The measure is the accuracy on the test part, or what --measure names. Rounds in which it has no value do not "
    "count.",
    "AUBC, area under the budget curve, is the area under the curve of the measure against labels (trapezoids) divided "
    "by its range of labels. The range begins at the largest first label count of the runs that take part and ends at "
    "the smallest, over strategies, of the most labels that a finished run of the strategy has; strategies without a "
    "finished run do not bind it, and where no run has finished all runs count. Early is its first quarter. Curves are "
    "cut there by straight lines.",
    "Runs that have not reached the end of the range are left out of AUBC, verdicts, pairs and penalties, and named. "
    "Curves and labels to a target use all runs.",
    "± and intervals are 95% t intervals over seeds, each for itself: they are not adjusted for the number of "
    "comparisons, verdicts are. One seed has no interval, no p and no verdict.",
    "Two strategies are compared over the seeds that both have.",
    "Verdict: two-sided paired t-test of AUBC by seed against random; p is adjusted by Holm's method for the number of "
    "strategies that are compared with random; level 0.05. Where the difference is the same in every seed there is no "
    "spread to test it against: no p, and no verdict but for a difference of zero.",
    "Every pair: the same test for any two strategies, with a Holm adjustment of its own, for the number of pairs. It "
    "is not the verdict's.",
    "The difference that would have been found is the smallest true one that so many seeds find with 80% power at the "
    "strictest of the verdicts' Holm levels (0.05 / comparisons). It, and the number of more seeds, take the spread "
    "seen for the true one, which few seeds know only roughly: fewer than 3 seeds give neither.",
    "Targets are the last three round numbers that random passed in mean from the first to the last label count; "
    "--target names others. A target that no run reached has no column.",
    "Labels to a target: the first crossing of each run's curve, straight between rounds; a run that starts beyond the "
    "target counts with its first label count. A run that never reached it is censored at its last label count: then "
    "there is no mean, and a median only where more than half of the seeds reached the target and no other seed ended "
    "before the median. Where there is no median, > or ≥ gives its lower bound.",
    "Labels saved: labels of random less those of the strategy, by seed. Where random did not reach the target its "
    "last label count stands for it and the figure is a lower bound (at least), where the strategy did not an upper "
    "one (at most); where both happened it is unknown. Bounds have no interval. The share is of the labels of random.",
    "Failed fits: fits that, by rounds.csv, did not learn their own labeled images (fit/ok), of all fits with that "
    "information. Where they are 5% of a strategy's fits or more, its result says little of the strategy.",
    "Penalty matrix: the number of label counts, of those that all runs of two strategies have in the range, at which "
    "the row's strategy beats the column's (paired t-test at 0.05, not adjusted for their number; at least 2 common "
    "seeds, and differences that are not the same in all of them).",
    "Floor and ceiling: random, trained the same, is the floor. Runs of strategy=ceiling choose by labels that nobody "
    "has, those of the test part: they are not attainable, named so, and take no part in the range of labels, "
    "verdicts, pairs and penalties. Of the way to the ceiling: mean difference of AUBC to random over that of the "
    "ceiling, both over the seeds that all three have, with its 95% interval by Fieller's theorem, where it is "
    "bounded.",
)
