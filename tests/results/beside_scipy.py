#!/usr/bin/env python3
"""Makes beside_scipy.json, which the tests hold our statistics against, with SciPy (Debian: python3-scipy):

    tests/results/beside_scipy.py > tests/results/beside_scipy.json
"""
import json
import sys

import numpy
import scipy
from scipy import stats

random = numpy.random.default_rng(2007)


def rounded(values, digits=6):
    return [round(float(value), digits) for value in values]


def figures():
    """Student's t interval of the mean logarithm, back through exp."""
    for n in (2, 3, 4, 5, 6, 8, 12, 20, 30):
        for spread in (0.005, 0.1, 0.8):
            values = rounded(10 ** random.uniform(-2, 6) * numpy.exp(random.normal(0, spread, n)))
            logs = numpy.log(values)
            for confidence in (0.9, 0.95, 0.99):
                lower, upper = stats.t.interval(confidence, n - 1, loc=numpy.mean(logs), scale=stats.sem(logs))
                yield {"values": values, "confidence": confidence, "median": float(numpy.median(values)),
                       "lower": float(numpy.exp(lower)), "upper": float(numpy.exp(upper))}


def pairs():
    """The sign-flip test, and the percentile bootstrap interval of the mean, both of logarithms."""
    for n in (6, 7, 8, 10, 12, 14):
        for effect, spread in ((0, 0.02), (-0.02, 0.02), (-0.1, 0.05), (0.05, 0.1)):
            ratios = rounded(numpy.exp(random.normal(effect, spread, n)))
            logs = numpy.log(ratios)
            test = stats.permutation_test((logs,), numpy.mean, permutation_type="samples", alternative="less",
                                          n_resamples=numpy.inf, vectorized=False)
            interval = stats.bootstrap((logs,), numpy.mean, confidence_level=0.95, n_resamples=200_000,
                                       method="percentile", random_state=random).confidence_interval
            yield {"ratios": ratios, "p_slower": float(test.pvalue), "mean": float(numpy.mean(logs)),
                   "lower": float(interval.low), "upper": float(interval.high)}


json.dump({"made_with": f"SciPy {scipy.__version__}", "figures": list(figures()), "pairs": list(pairs())},
          sys.stdout, indent=None, separators=(",", ":"))
print()
