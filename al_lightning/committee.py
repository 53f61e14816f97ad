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


def fit_members(
    settings: build.Settings, pool: PoolDataModule, model: Classifier, plan: Plan, console: ConsoleReporter
) -> tuple[Committee, dict[str, Any]]:
    """Fit them, each with weights, batches and augmentations of its own.

    A deep ensemble (Lakshminarayanan et al. 2017, "Simple and Scalable Predictive Uncertainty Estimation using Deep
    Ensembles") fits each afresh. A convex fit has one optimum: its members are fitted to bootstrap samples (Breiman
    1996, "Bagging Predictors"). A snapshot ensemble (Huang et al. 2017, "Snapshot Ensembles: Train 1, Get M for Free")
    goes on from the member before, each time through the schedule in 1/members of the epochs.

    Args:
        settings: of the run.
        pool: in the round.
        model: that was fitted in it.
        plan: of the run.
        console: shows how far a fit is.

    Returns:
        The committee without the model itself, on the CPU, and a column of `rounds.csv`: how many have fitted their
        labels.
    """
    node, n_labeled = settings["model"], int(pool.labeled_mask.sum())
    goes_on, rule = node["ensemble"] == "snapshots", build.fit_rule(settings)
    seeds = generator(settings["seed"], Stream.MEMBERS, pool.round).integers(2**32, size=node["members"] - 1).tolist()
    weight_decay = model.weight_decay if isinstance(model, ConvexClassifier) else None
    members, n_fitted, before = [], 0, model
    for position, seed in enumerate(seeds):
        own = _member_settings(settings, seed, goes_on, n_labeled)
        its_pool = copy.copy(pool)
        its_pool.seed = seed
        epochs, steps = build.fit_length(own, n_labeled)
        check = FitCheck(its_pool, replace(rule, max_cycles=1) if goes_on else rule, epochs)
        bar = console.fit_bar(f"round {pool.round}/{plan.rounds}  member {position + 2}", steps)
        with seeded(torch_seed(seed, Stream.DROPOUT, pool.round)):
            member = build.make_classifier(own, pool.data, pool.round, n_labeled, weight_decay, is_member=True)
            if goes_on:
                member.load_state_dict(before.state_dict())
            build.make_trainer(own, epochs, [check, bar]).fit(member, datamodule=its_pool)
        members.append(before := member.eval())
        n_fitted += not check.reason
    return Committee(members, node["sampling"] == "both"), {"fit/members_ok": n_fitted}


def _member_settings(settings: build.Settings, seed: int, goes_on: bool, n_labeled: int) -> build.Settings:
    """A run's settings for one member. One graph serves one network only: they are fitted without."""
    train, trainer = settings["train"], settings["trainer"]
    if train["engine"] == "graph":
        train = {**train, "engine": "fast"}
    if goes_on:
        epochs = -(-build.fit_length(settings, n_labeled)[0] // settings["model"]["members"])
        train, trainer = {**train, "min_steps": 0}, {**trainer, "max_epochs": epochs}
    return {**settings, "seed": seed, "train": train, "trainer": trainer}
