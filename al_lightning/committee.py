"""The further members of a committee, fitted after the model of a round to the same labels."""

import copy
from dataclasses import replace
from typing import Any

from al_lightning import build
from al_lightning.config.plan import Plan
from al_lightning.data.datamodule import PoolDataModule
from al_lightning.models.classifier import Classifier
from al_lightning.models.convex import ConvexClassifier
from al_lightning.models.fit_check import FitCheck
from al_lightning.models.learner import Committee
from al_lightning.streams import Stream, generator, seeded, torch_seed
from al_lightning.tracking.console import ConsoleReporter
from al_lightning.trainer import make_trainer


def fit_members(
    settings: build.Settings, pool: PoolDataModule, model: Classifier, plan: Plan, console: ConsoleReporter
) -> tuple[Committee, dict[str, Any]]:
    """Fit them, each with weights, batches and augmentations of its own.

    A deep ensemble (Lakshminarayanan et al. 2017, "Simple and Scalable Predictive Uncertainty Estimation using Deep
    Ensembles") fits each afresh. A convex fit has one optimum: its members are fitted to bootstrap samples (Breiman
    1996, "Bagging Predictors"). A snapshot ensemble (Huang et al. 2017, "Snapshot Ensembles: Train 1, Get M for Free")
    goes on from the member before, each time through the schedule, which has to end at 0, in 1/members of the epochs.
    Theirs cuts one fit into cycles; here the first is a whole fit, the same as without members, so that it costs about
    two.

    Args:
        settings: of the run.
        pool: in the round.
        model: that was fitted in it.
        plan: of the run.
        console: shows how far a fit is.

    Returns:
        The committee without the model itself, on the CPU, and a column of `rounds.csv`: how many of its members have
        not fitted their labels.
    """
    asked, n_labeled, rule = build.members(settings), int(pool.labeled_mask.sum()), build.fit_rule(settings)
    seeds = generator(settings["seed"], Stream.MEMBERS, pool.round).integers(2**32, size=asked.n - 1).tolist()
    weight_decay = model.weight_decay if isinstance(model, ConvexClassifier) else None
    members, n_failed, before = [], 0, model
    for position, seed in enumerate(seeds):
        own = _member_settings(settings, seed, asked, n_labeled)
        its_pool = copy.copy(pool)
        its_pool.seed = seed
        epochs, steps = build.fit_length(own, n_labeled)
        check = FitCheck(its_pool, replace(rule, max_cycles=1) if asked.goes_on else rule, epochs)
        bar = console.fit_bar(f"round {pool.round}/{plan.rounds}  member {position + 2}", steps)
        with seeded(torch_seed(seed, Stream.DROPOUT, pool.round)):
            member = build.make_classifier(own, pool.data, pool.round, n_labeled, weight_decay, is_member=True)
            if asked.goes_on:
                member.load_state_dict(before.state_dict())
            make_trainer(own, epochs, [check, bar]).fit(member, datamodule=its_pool)
        members.append(before := member.eval())
        n_failed += bool(check.reason)
    return Committee(members, asked.by_dropout), {"fit/members_failed": n_failed}


def _member_settings(settings: build.Settings, seed: int, asked: build.Members, n_labeled: int) -> build.Settings:
    """A run's settings for one member. One graph serves one network only: they are fitted without."""
    train, trainer = settings["train"], settings["trainer"]
    if train["engine"] == "graph":
        train = {**train, "engine": "fast"}
    if asked.goes_on:
        epochs = -(-build.fit_length(settings, n_labeled)[0] // asked.n)
        train, trainer = {**train, "min_steps": 0}, {**trainer, "max_epochs": epochs}
    return {**settings, "seed": seed, "train": train, "trainer": trainer}
