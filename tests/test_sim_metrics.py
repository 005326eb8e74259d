from fractions import Fraction

import mpmath
import numpy as np
import pytest
import scipy.linalg

from metarep.sim.metrics import least_distance, missing_distance, principal_angles, principal_sines, subspace_distance

EPS = float(np.finfo(float).eps)


def orthonormal(rows, columns, rng):
    return np.linalg.qr(rng.standard_normal((rows, columns)))[0]


def rotated_pair(d, angles, rng):
    """B_star and a basis (badly scaled on purpose) of a space at exactly these angles to it, in generic coordinates."""
    k = len(angles)
    frame = orthonormal(d, 2 * k, rng)
    B_star = frame[:, :k]
    B = B_star * np.cos(angles) + frame[:, k:] * np.sin(angles)
    return B @ rng.standard_normal((k, k)) * 37.0, B_star


@pytest.mark.parametrize(("d", "k", "width"), [(10, 5, 5), (6, 2, 4), (6, 4, 2), (100, 5, 5), (3, 1, 1), (4, 4, 4)])
def test_angles_agree_with_scipy(d, k, width):
    rng = np.random.default_rng(0)
    B_star, B = orthonormal(d, k, rng), rng.standard_normal((6, d, width))
    expected = np.array([scipy.linalg.subspace_angles(b, B_star) for b in B])
    common = min(k, width)
    angles = principal_angles(B, B_star)
    # cond(B) is below 1e3 here, rounding errors are that many eps times the size.
    np.testing.assert_allclose(angles[..., width - common :], expected, atol=1e3 * d * EPS)
    np.testing.assert_allclose(np.sin(angles), principal_sines(B, B_star), atol=1e3 * d * EPS)
    np.testing.assert_allclose(subspace_distance(B, B_star), principal_sines(B, B_star)[..., 0], atol=1e3 * EPS)
    assert np.all(angles[..., : width - common] == np.pi / 2)


@pytest.mark.parametrize(("d", "k", "width"), [(10, 5, 5), (6, 2, 4), (6, 4, 2), (3, 1, 1)])
def test_least_distance_is_a_lower_bound(d, k, width):
    rng = np.random.default_rng(0)
    B, B_star = rng.standard_normal((50, d, width)), np.eye(d, k)
    if width <= k:  # of full rank all the same
        B[25:, k:] *= 1e-200  # far below what a square can be
    least, distance = least_distance(B, B_star), subspace_distance(B, B_star)
    assert np.all(least <= distance * (1 + 100 * EPS))
    assert np.all(least > 1e-3 * distance)  # and of its size


@pytest.mark.parametrize("angle", [1e-14, 1e-10, 1e-6, 0.3, 1.0, np.pi / 2 - 1e-10])
def test_angle_is_absolutely_accurate_in_generic_coordinates(angle):
    rng = np.random.default_rng(1)
    angles = np.array([angle, angle / 2, angle / 3])
    B, B_star = rotated_pair(40, angles, rng)
    # The construction itself rounds to a few eps x 40, multiplied by cond(B) of some tens.
    tolerance = 40 * 50 * EPS
    assert abs(subspace_distance(B, B_star) - np.sin(angle)) < tolerance
    np.testing.assert_allclose(principal_angles(B, B_star), angles, atol=tolerance)
    np.testing.assert_allclose(principal_sines(B, B_star), np.sin(angles), atol=tolerance)


@pytest.mark.parametrize("size", [1e-300, 1e-200, 1e-14, 1e-10, 1.0, 1e10])
def test_distance_is_relatively_accurate_in_reduced_coordinates(size):
    rng = np.random.default_rng(2)
    k = 3
    B = np.concatenate([rng.standard_normal((k, k)), size * rng.standard_normal((k, k))])
    with mpmath.workdps(700):
        P, Y = mpmath.matrix(B[:k].tolist()), mpmath.matrix(B[k:].tolist())
        X = Y * P**-1  # tan of the angles
        tangents = sorted((mpmath.sqrt(t) for t in mpmath.eigsy(X.T * X, eigvals_only=True)), reverse=True)
        sine = tangents[0] / mpmath.sqrt(1 + tangents[0] ** 2)
        angle = mpmath.atan(tangents[0])
        relative = [
            abs(mpmath.mpf(float(x)) / y - 1)
            for x, y in (
                (subspace_distance(B, np.eye(6, k)), sine),
                (principal_sines(B, np.eye(6, k))[0], sine),
                (principal_angles(B, np.eye(6, k))[0], angle),
            )
        ]
    assert max(relative) < 6 * np.linalg.cond(B[:k]) * EPS * 10


def test_near_right_angle_is_accurate():
    angles = principal_angles(np.array([[1e-12], [1.0]]), np.eye(2, 1))
    assert angles[0] == pytest.approx(np.pi / 2 - 1e-12, abs=2 * EPS)


def test_only_the_column_space_counts():
    rng = np.random.default_rng(3)
    B, B_star = rng.standard_normal((8, 3)), orthonormal(8, 3, rng)
    expected = subspace_distance(B, B_star)
    for right in (
        np.diag([1e-300] * 3),
        np.diag([5e306] * 3),
        np.diag([1e-6, 1.0, 1e3]),
        rng.standard_normal((3, 3)),
    ):  # an error of eps x cond(B right), of at most 1e10
        assert subspace_distance(B @ right, B_star) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("width", [2, 3, 4])
def test_rank_deficient_representation_counts_with_its_own_dimensions(width):
    rng = np.random.default_rng(4)
    B_star, basis = orthonormal(9, 3, rng), orthonormal(9, 1, rng)
    batch = np.stack([basis @ rng.standard_normal((1, width)), rng.standard_normal((9, width)), np.zeros((9, width))])
    distances, sines, angles = (f(batch, B_star) for f in (subspace_distance, principal_sines, principal_angles))
    assert distances[0] == pytest.approx(float(np.linalg.norm(basis - B_star @ (B_star.T @ basis))), abs=20 * EPS)
    assert np.all(sines[0, 1:] == 0)
    assert np.all(angles[0, 1:] == 0)
    assert angles[0, 0] == pytest.approx(scipy.linalg.subspace_angles(basis, B_star)[0], abs=50 * EPS)
    assert distances[1] == pytest.approx(float(subspace_distance(batch[1], B_star)), abs=20 * EPS)
    assert distances[2] == 0


@pytest.mark.parametrize("function", [subspace_distance, missing_distance])
@pytest.mark.parametrize("relative", [2.0, 0.5])
def test_what_rounding_cannot_tell_from_zero_is_no_dimension(function, relative):
    """A second direction outside the truth, just above and just below max(d, k') × eps of the first, inside it."""
    d = 40
    B = np.zeros((d, 2))
    B[0, 0], B[1, 1] = 1.0, relative * d * EPS
    # the truth is e_1: a second dimension of B is outside of it; or e_2: it is what would reach it
    if function is subspace_distance:
        assert function(B, np.eye(d, 1)) == (1.0 if relative > 1 else 0.0)
    else:
        assert function(B, np.eye(d, 2)) == (0.0 if relative > 1 else 1.0)


def test_a_nearly_dependent_representation_keeps_its_other_directions():
    """cond(B) from 1e7 to 1e13, where R is inverted as it is, and where it is not: the space is that of the angles."""
    rng = np.random.default_rng(7)
    for condition in 10.0 ** np.arange(7, 14):
        B, B_star = rotated_pair(20, np.array([0.3, 0.1]), rng)
        basis = np.linalg.qr(B)[0]
        squeezed = basis @ np.array([[1.0, 1.0], [0.0, 1 / condition]])
        # the direction that was squeezed is known to eps × condition
        assert subspace_distance(squeezed, B_star) == pytest.approx(np.sin(0.3), abs=20 * EPS * condition)


def test_nothing_is_larger_than_one():
    """Rounding alone would make some of these 1 + eps: the complement is missed entirely."""
    rng = np.random.default_rng(8)
    frames = np.linalg.qr(rng.standard_normal((2000, 7, 4)))[0]
    outside, B_star = frames[..., 2:] @ rng.standard_normal((2000, 2, 2)), frames[..., :2]
    for function in (subspace_distance, principal_sines, missing_distance):
        values = function(outside, B_star)
        assert values.max() <= 1.0
        assert values.min() > 1 - 1e-3  # eps × cond(outside), which is below 1e6 in 2000 draws


def test_more_columns_than_rows():
    assert subspace_distance(np.random.default_rng(5).standard_normal((3, 5)), np.eye(3, 1)) == pytest.approx(1)
    B = np.random.default_rng(9).standard_normal((2, 3, 5))
    np.testing.assert_allclose(principal_sines(B, np.eye(3, 1)), [[1, 1, 0, 0, 0]] * 2, atol=1e3 * EPS)
    np.testing.assert_allclose(principal_angles(B, np.eye(3, 1)), [[np.pi / 2] * 2 + [0] * 3] * 2, atol=1e3 * EPS)
    np.testing.assert_allclose(missing_distance(B, np.eye(3, 1)), [0, 0], atol=1e3 * EPS)


def test_not_finite_is_nan_silently_and_alone():
    B = np.random.default_rng(6).standard_normal((4, 6, 2))
    B[1, 0, 0], B[2, 3, 1] = np.nan, np.inf
    for function in (subspace_distance, principal_sines, principal_angles):
        values = function(B, np.eye(6, 2)).reshape(4, -1)
        assert np.isnan(values).all(1).tolist() == [False, True, True, False]
        np.testing.assert_array_equal(values[3], function(B[3], np.eye(6, 2)).reshape(-1))


def test_of_no_representations_there_are_no_distances():
    none, B_star = np.zeros((0, 6, 2)), np.eye(6, 2)
    assert subspace_distance(none, B_star).shape == missing_distance(none, B_star).shape == (0,)
    assert principal_sines(none, B_star).shape == principal_angles(none, B_star).shape == (0, 2)
    assert subspace_distance(np.eye(6, 2), np.zeros((0, 6, 2))).shape == (0,)


@pytest.mark.parametrize(
    "function", [subspace_distance, least_distance, missing_distance, principal_sines, principal_angles]
)
def test_fractions_and_whole_numbers_are_numbers_too(function):
    B, B_star = np.array([[1, 0], [1, 1], [0, 2]]), np.eye(3, 2, dtype=int)
    expected = function(B.astype(float), B_star.astype(float))
    exact = [np.vectorize(Fraction, otypes=[object])(matrix) for matrix in (B, B_star)]
    np.testing.assert_array_equal(function(B, B_star), expected)
    np.testing.assert_array_equal(function(*exact), expected)


def test_nothing_reaches_none_of_the_truth():
    assert missing_distance(np.zeros((6, 2)), np.eye(6, 2)) == 1.0


def test_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match=r"B has shape \(3, 2\) and B_star \(4, 2\); allowed: .*same d"):
        subspace_distance(np.ones((3, 2)), np.eye(4, 2))
    for B, B_star in ((np.ones(3), np.eye(3, 2)), (np.ones((3, 2)), np.ones(3)), (np.ones((3, 0)), np.eye(3, 2))):
        with pytest.raises(ValueError, match="allowed: "):
            subspace_distance(B, B_star)
