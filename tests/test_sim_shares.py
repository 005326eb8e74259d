import numpy as np
import pytest
from scipy.stats import binomtest

from metarep.sim.shares import Share, median_uncertainty


@pytest.mark.parametrize(("count", "trials"), [(0, 1), (1, 1), (0, 300), (8, 300), (7, 40), (40, 40), (150, 300)])
def test_the_interval_is_wilsons(count, trials):
    share = Share(count, trials)
    reference = binomtest(count, trials).proportion_ci(method="wilson")
    # A handful of operations on numbers of size 1.
    np.testing.assert_allclose(share.interval, (reference.low, reference.high), atol=1e-14)
    assert share.value - share.uncertainty <= share.interval[0] <= share.value <= share.interval[1]
    assert share.interval[1] <= share.value + share.uncertainty


def test_in_words_and_from_runs():
    assert Share.of(np.arange(300) < 8) == Share(8, 300)
    assert str(Share(8, 300)) == "8 of 300 (95 % interval 1.4 to 5.2 %)"


@pytest.mark.parametrize(("count", "trials"), [(1, 0), (0, 0), (3, 2), (-1, 2)])
def test_no_share(count, trials):
    with pytest.raises(ValueError, match=r"allowed: 0 <= count <= trials, 1 or more trials"):
        Share(count, trials)


def test_the_medians_interval_covers_it():
    """Of 12 uniform values the third to the tenth cover the median with 96.1 %: in 2000 draws within four errors."""
    assert median_uncertainty(np.arange(12.0)) == pytest.approx(3.5)
    assert median_uncertainty(np.array([3.0, 0.0, 1.0])) == 2.0  # too few: all of them
    draws = np.sort(np.random.default_rng(0).random((2000, 12)), axis=1)
    covered = ((draws[:, 2] <= 0.5) & (draws[:, 9] >= 0.5)).mean()
    assert abs(covered - 0.9614) < 4 * np.sqrt(0.9614 * 0.0386 / 2000)
    with pytest.raises(ValueError, match="1 or more"):
        median_uncertainty(np.array([]))
