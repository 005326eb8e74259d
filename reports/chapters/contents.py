"""The report's chapters in reading order: a chapter is added by a module with a ``CHAPTER``, and a line here."""

from metarep.reports.chapters import changes, limits, mutants, notation, outcomes, paper, reproduction, update_maps
from metarep.reports.chapters.boundaries import chapter as boundaries
from metarep.reports.chapters.claims import graph, one_by_one, seals, verdicts
from metarep.reports.chapters.experiments import figure_1
from metarep.reports.chapters.experiments import section as experiments
from metarep.reports.chapters.learners import section as learners
from metarep.reports.chapters.rates import section as rates
from metarep.reports.chapters.samples import section as samples
from metarep.reports.chapters.theorem import chapter as theorem

CHAPTERS = (
    limits.CHAPTER,
    outcomes.CHAPTER,
    changes.CHAPTER,
    paper.CHAPTER,
    theorem.CHAPTER,
    figure_1.CHAPTER,
    notation.CHAPTER,
    verdicts.CHAPTER,
    one_by_one.CHAPTER,
    graph.CHAPTER,
    seals.CHAPTER,
    rates.CHAPTER,
    boundaries.CHAPTER,
    experiments.CHAPTER,
    samples.CHAPTER,
    learners.CHAPTER,
    mutants.CHAPTER,
    update_maps.CHAPTER,
    reproduction.CHAPTER,
)
"""Gathering, the page, report.json and its schema loop over these."""
