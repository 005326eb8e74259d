import re
import zipfile
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from metarep.sim import problems
from metarep.sim.learners import LEARNERS
from metarep.sim.metrics import principal_sines, subspace_distance
from metarep.sim.problems import (
    FixedTasks,
    FreshTasks,
    StartKind,
    gaussian_heads,
    heads_with_spectrum,
    lift,
    load_problem,
    make_problem,
    reduce,
    start,
)
from metarep.sim.trajectories import run

EPS = float(np.finfo(float).eps)


def p_value(first, second):
    result: Any = scipy.stats.ks_2samp(first, second)
    return float(result.pvalue)


def second_moment(heads):
    return heads @ np.swapaxes(heads, -1, -2) / heads.shape[-1]


# --- heads and tasks


@pytest.mark.parametrize(
    ("spectrum", "n"), [((3.0, 1.0, 0.5), 3), ((3.0, 1.0, 0.5), 7), ((2.0, 0.0, 1.0), 2), ((0.0,), 1)]
)
def test_heads_have_exactly_the_spectrum(spectrum, n):
    heads = heads_with_spectrum(spectrum, n, np.random.default_rng(0), batch=(4,))
    assert heads.shape == (4, len(spectrum), n)
    np.testing.assert_allclose(
        np.linalg.eigvalsh(second_moment(heads)), np.broadcast_to(sorted(spectrum), (4, len(spectrum))), atol=50 * EPS
    )


@pytest.mark.parametrize(
    ("spectrum", "n", "mean"),
    [
        ((1.0, 2.0), 3, (0.3, 0.4)),
        ((1.0, 4.0), 2, (0.6, 1.6)),
        ((1.0, 2.0, 0.0), 6, (0.3, 0.4, 0.0)),
        ((4.0,), 1, (2.0,)),
    ],
)
def test_heads_have_spectrum_and_mean(spectrum, n, mean):
    heads = heads_with_spectrum(spectrum, n, np.random.default_rng(0), mean=mean, batch=(3,))
    # A square root of rounding errors appears where the mean takes all of the second moment.
    np.testing.assert_allclose(heads.mean(-1), np.broadcast_to(mean, (3, len(mean))), atol=20 * EPS)
    np.testing.assert_allclose(
        second_moment(heads), np.broadcast_to(np.diag(spectrum), (3,) + 2 * (len(mean),)), atol=1e-13
    )


def test_fresh_tasks_differ_by_step_begin_again_at_zero_and_have_their_moments():
    rng = np.random.default_rng(1)
    tasks = FreshTasks((1.0, 0.0), (4.0, 0.25), 3, rng, (2000,))
    untouched = np.random.default_rng(1)
    untouched.spawn(1)
    first, second = tasks(0), tasks(1)
    assert rng.standard_normal() == untouched.standard_normal()
    assert not np.any(first == second)
    np.testing.assert_array_equal(tasks(0), first)
    np.testing.assert_array_equal(tasks(1), second)
    values = np.concatenate([first, second], -1).swapaxes(0, 1).reshape(2, -1)
    # 12 000 draws each: five standard errors
    np.testing.assert_allclose(values.mean(1), (1, 0), atol=5 * 2 / np.sqrt(12000))
    np.testing.assert_allclose(values.var(1), (4, 0.25), rtol=5 * np.sqrt(2 / 12000))
    with pytest.raises(ValueError, match="step is 5; allowed: 2"):
        tasks(5)


def test_gaussian_heads_moments():
    heads = gaussian_heads((1.0, -1.0), (4.0, 0.0), 20000, np.random.default_rng(2))
    np.testing.assert_allclose(heads.mean(-1), (1, -1), atol=5 * 2 / np.sqrt(20000))
    np.testing.assert_allclose(heads.var(-1), (4, 0), rtol=5 * np.sqrt(2 / 20000), atol=1e-30)


# --- starts


@pytest.mark.parametrize("dist0", [None, 0.0, 1e-200, 0.93, 1.0])
@pytest.mark.parametrize(("d", "k"), [(100, 5), (7, 5), (10, 5), (2, 1)])
def test_start_is_balanced_or_orthonormal_at_the_distance(d, k, dist0):
    alpha = np.array([0.1, 3.0])
    kinds: tuple[tuple[StartKind, np.ndarray], ...] = (("balanced", alpha), ("orthonormal", np.ones(2)))
    for kind, scale in kinds:
        for angles in ("equal", "largest"):
            B = start(kind, d, k, alpha, np.random.default_rng(3), dist0, (3, 2), angles=angles)
            rows = min(d, 2 * k)
            assert B.shape == (3, 2, rows, k)
            np.testing.assert_allclose(
                scale[:, None, None] * np.swapaxes(B, -1, -2) @ B,
                np.broadcast_to(np.eye(k), (3, 2, k, k)),
                atol=30 * k * EPS,
            )
            if dist0 is not None:
                sines = principal_sines(B, np.eye(rows, k))
                np.testing.assert_allclose(sines[..., 0], dist0, rtol=100 * EPS)
                possible = min(k, d - k)
                if angles == "equal":
                    np.testing.assert_allclose(sines[..., :possible], dist0, rtol=1e-13)
                elif possible > 1 and dist0 > 0:
                    assert np.all(sines[..., 1] < dist0)
                assert np.all(sines[..., possible:] <= 30 * EPS * dist0)


def test_start_takes_a_sequence_of_sines():
    sines = np.array([0.9, 1e-3, 0.5])
    B = start("orthonormal", 50, 3, 1.0, np.random.default_rng(4), sines, (2,))
    np.testing.assert_allclose(
        principal_sines(B, np.eye(6, 3)), np.broadcast_to(np.sort(sines)[::-1], (2, 3)), rtol=1e-12
    )


def test_prescribed_start_has_random_orientation():
    B = start("orthonormal", 50, 2, 1.0, np.random.default_rng(5), 0.5, (4000,))
    # Every entry of a uniformly oriented block has mean 0: five standard errors of entries of size < 1.
    assert np.abs(B.mean(0)).max() < 5 / np.sqrt(4000)
    assert np.abs(B).std(0).min() > 0.1
    # Which direction of B_* is the far one is random too: P Pᵀ has a mean proportional to I.
    P = start("orthonormal", 50, 2, 1.0, np.random.default_rng(5), (0.9, 0.1), (4000,))[:, :2]
    shares = P @ np.swapaxes(P, -1, -2)
    np.testing.assert_allclose(shares.mean(0), np.eye(2) * (0.19 + 0.99) / 2, atol=5 / np.sqrt(4000))


@pytest.mark.parametrize(("d", "k"), [(3, 1), (4, 2), (5, 3), (12, 2), (60, 2)])
def test_random_start_has_the_law_of_a_uniform_subspace_of_that_dimension(d, k):
    rng = np.random.default_rng(6)
    draws = 4000
    direct = principal_sines(rng.standard_normal((draws, d, k)), np.eye(d, k))
    B = start("orthonormal", d, k, 1.0, rng, None, (draws,))
    reduced = principal_sines(B, np.eye(B.shape[-2], k))
    for index in range(min(k, d - k)):
        assert p_value(direct[:, index], reduced[:, index]) > 1e-3
        # The same test tells the neighbouring dimension apart where that differs enough to be seen with these draws.
    if d <= 5 and d > k + 1:
        other = principal_sines(rng.standard_normal((draws, d + 1, k)), np.eye(d + 1, k))
        assert p_value(other[:, min(k, d - k) - 1], reduced[:, min(k, d - k) - 1]) < 1e-6


def test_a_million_dimensions_need_no_array_of_that_length():
    B = make_problem(10**6, 5, 5, 0.1, np.random.default_rng(7), trials=(10,)).B0
    assert B.shape == (10, 10, 5)
    assert np.all(1 - subspace_distance(B, np.eye(10, 5)) < 1e-4)


# --- reduced and full coordinates


@st.composite
def cases(draw):
    k = draw(st.integers(1, 4))
    d = draw(st.integers(k, 3 * k + 2))
    return (
        d,
        k,
        draw(st.integers(1, 6)),
        draw(st.sampled_from([0.05, 0.1, 0.7])),
        draw(st.sampled_from([0.01, 0.03, 0.2])),
        draw(st.sampled_from(["balanced", "orthonormal"])),
        draw(st.sampled_from(["fixed", "fresh"])),
        draw(st.integers(0, 2**32 - 1)),
    )


@settings(derandomize=True, deadline=None, max_examples=20)
@given(cases())
def test_trajectories_in_reduced_and_full_coordinates_are_the_same(case):
    d, k, n, alpha, beta, kind, tasks, seed = case
    rng = np.random.default_rng(seed)
    problem = make_problem(d, k, n, alpha, rng, tasks, kind, trials=(2,))
    full = lift(problem, rng)
    again = reduce(full)
    assert problem.B0.shape[-2] == min(d, 2 * k) == again.B0.shape[-2]
    assert full.B0.shape[-2] == d
    for learner in LEARNERS.values():
        runs = [run(learner, p, alpha, beta, 8) for p in (problem, full, again)]
        size = max(1.0, float(np.abs(runs[0].B).max()), float(np.abs(runs[0].w).max()))
        if not np.isfinite(size) or size > 10:
            continue  # on the way to divergence rounding errors grow without bound
        # 8 steps amplify rounding by (1 + β(‖B‖ + ...)^4)^8 at most, some 1e3 for what is left; cond(B) by as much.
        tolerance = 1e6 * d * EPS
        np.testing.assert_allclose(runs[1].dist, runs[0].dist, atol=tolerance)
        np.testing.assert_allclose(runs[2].dist, runs[0].dist, atol=tolerance)
        for other in runs[1:]:
            np.testing.assert_allclose(other.w, runs[0].w, atol=tolerance * size)
        for p, r in ((full, runs[1]), (again, runs[2])):
            np.testing.assert_allclose(p.B_star.T @ r.B, runs[0].B[..., :k, :], atol=tolerance * size)


def test_problem_knows_its_sizes():
    problem = make_problem(7, 3, 4, 0.1, np.random.default_rng(8), spectrum=(1.0, 2.0, 3.0))
    assert (problem.d, problem.k, problem.n) == (7, 3, 4)
    assert isinstance(problem.tasks, FixedTasks)
    np.testing.assert_allclose(np.linalg.eigvalsh(second_moment(problem.tasks(0))), (1, 2, 3), rtol=1e-13)


# --- files


def saved(tmp_path, **arrays):
    np.savez(tmp_path / "problem.npz", **arrays)
    return tmp_path / "problem.npz"


def test_a_problem_from_a_file(tmp_path):
    rng = np.random.default_rng(9)
    B_star = np.linalg.qr(rng.standard_normal((20, 3)))[0]
    heads, B0, w0 = rng.standard_normal((3, 4)), rng.standard_normal((20, 3)), rng.standard_normal(3)
    problem = load_problem(saved(tmp_path, B_star=B_star, heads=heads, B0=B0, w0=w0), 0.1, rng)
    for mine, its in ((B_star, problem.B_star), (heads, problem.tasks(3)), (B0, problem.B0), (w0, problem.w0)):
        np.testing.assert_array_equal(its, mine)
    assert (problem.d, problem.k, problem.n) == (20, 3, 4)
    small = reduce(problem)
    assert small.B0.shape == (6, 3)
    assert subspace_distance(small.B0, small.B_star) == pytest.approx(float(subspace_distance(B0, B_star)), abs=1e-13)


@pytest.mark.parametrize("d", [3, 4, 20])
def test_what_a_file_lacks_is_drawn(tmp_path, d):
    rng = np.random.default_rng(10)
    B_star = np.linalg.qr(rng.standard_normal((d, 3)))[0]
    dist0 = 0.4 if d > 3 else None
    problem = load_problem(saved(tmp_path, B_star=B_star), 0.1, rng, n=5, dist0=dist0, trials=(2,))
    assert problem.tasks(0).shape == (2, 3, 5)
    np.testing.assert_allclose(
        0.1 * np.swapaxes(problem.B0, -1, -2) @ problem.B0, np.broadcast_to(np.eye(3), (2, 3, 3)), atol=1e-13
    )
    np.testing.assert_allclose(subspace_distance(problem.B0, B_star), 0.4 if d > 3 else 0, atol=1e-13)
    heads_only = load_problem(saved(tmp_path, heads=np.ones((3, 2))), 0.1, rng, d=d)
    np.testing.assert_allclose(heads_only.B_star.T @ heads_only.B_star, np.eye(3), atol=1e-13)


BAD_ARRAYS = [
    ({"heads": np.full((2, 3), np.nan)}, "heads holds NaN or infinity; allowed: finite numbers (k, n)"),
    ({"w0": np.array([1.0, np.inf])}, "w0 holds NaN or infinity; allowed: finite numbers (k,)"),
    ({"heads": np.ones(3)}, "heads has shape (3,); allowed: (k, n)"),
    ({"w0": np.ones((2, 1))}, "w0 has shape (2, 1); allowed: (k,)"),
    ({"heads": np.ones((3, 0))}, "heads has shape (3, 0); allowed: (k, n)"),
    ({"heads": np.array([["a"]])}, "heads does not hold real numbers; allowed: real numbers (k, n)"),
    ({"heads": np.ones((2, 2)) * 1j}, "heads does not hold real numbers"),
    ({"heads": np.array([[{}]], dtype=object)}, "cannot read heads in"),
    ({"B_star": np.ones((4, 2)), "n": np.ones(1)}, "holds an array 'n'; allowed: B_star (d, k), heads (k, n)"),
    ({"B_star": np.ones((4, 2)), "heads": np.ones((2, 2))}, "B_star has columns that are not orthonormal"),
    ({"B_star": np.eye(4, 2) * 1e200, "heads": np.ones((2, 2))}, "B_star has columns that are not orthonormal"),
    (
        {"B_star": np.eye(4, 2), "heads": np.ones((3, 2))},
        "heads has shape (3, 2), which does not fit B_star of shape (4, 2); allowed: (k, n)",
    ),
    ({"B_star": np.eye(2, 4), "heads": np.ones((4, 2))}, "k is 4 with d = 2; allowed: 1 <= k <= d"),
    ({"B_star": np.eye(4, 2)}, "does not tell n; allowed: an array that does, or n given besides"),
    ({}, "holds no arrays"),
]


@pytest.mark.parametrize(("arrays", "message"), BAD_ARRAYS)
def test_bad_files_are_named_in_one_line(tmp_path, arrays, message):
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        load_problem(saved(tmp_path, **arrays), 0.1, np.random.default_rng(0))
    assert "\n" not in str(caught.value)


def test_unreadable_files(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "problem.npz"
    with pytest.raises(ValueError, match=r"cannot read .*FileNotFoundError.*; allowed: an .npz archive"):
        load_problem(path, 0.1, rng)
    for content in (b"", b"PK\x03\x04 no archive", b"text", b"\x93NUMPY\x01\x00"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"cannot read .*; allowed: an .npz archive"):
            load_problem(path, 0.1, rng)
    np.save(tmp_path / "one.npy", np.eye(2))
    with pytest.raises(ValueError, match=r"is not an .npz archive"):
        load_problem(tmp_path / "one.npy", 0.1, rng)
    whole = saved(tmp_path, B_star=np.eye(40, 5)).read_bytes()
    path.write_bytes(whole[:200] + bytes(64) + whole[264:])
    with pytest.raises(ValueError, match=r"cannot read B_star in .*; allowed: real numbers \(d, k\)"):
        load_problem(path, 0.1, rng, n=3)


# --- arguments


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 7, "d": 5}, "k is 7 with d = 5; allowed: 1 <= k <= d"),
        ({"k": 0}, "k is 0 with d = 20; allowed: 1 <= k <= d"),
        ({"k": 2.5}, "k is 2.5 with d = 20"),
        ({"d": 0}, "d is 0; allowed: a whole number d >= 1"),
        ({"n": 0}, "n is 0; allowed: a whole number n >= 1"),
        ({"n": True}, "n is True; allowed"),
        ({"alpha": 0.0}, "alpha is 0.0; allowed: alpha > 0 and finite"),
        ({"alpha": float("nan")}, "alpha is nan; allowed: alpha > 0"),
        ({"alpha": "big"}, "alpha is 'big'; allowed: alpha > 0"),
        ({"dist0": 1.5}, "dist0 is 1.5; allowed: 0 <= dist0 <= 1"),
        ({"dist0": -0.1}, "dist0 is -0.1; allowed: 0 <= dist0 <= 1"),
        ({"dist0": float("nan")}, "dist0 is nan; allowed"),
        ({"dist0": "far"}, "dist0 is 'far'; allowed"),
        ({"dist0": [0.1, 0.2]}, "dist0 has shape (2,); allowed: one number, or k = 3 principal sines"),
        ({"d": 4, "dist0": [0.1, 0.2, 0.0]}, "dist0 has 2 positive sines with d = 4, k = 3; allowed: at most 1"),
        ({"d": 3, "dist0": 0.5}, "dist0 is 0.5 with d = k = 3; allowed: 0"),
        ({"start": "odd"}, "start is 'odd'; allowed: 'balanced', 'orthonormal'"),
        ({"tasks": "odd"}, "tasks is 'odd'; allowed: 'fixed', 'fresh'"),
        ({"angles": "odd", "dist0": 0.5}, "angles is 'odd'; allowed: 'equal', 'largest'"),
        ({"head_variances": -1.0}, "head variances is -1.0; allowed: a finite number or 3 of them, none negative"),
        ({"head_mean": (1.0, 2.0)}, "head mean has shape (2,); allowed: a finite number or 3 of them"),
        ({"head_mean": "a"}, "head mean is 'a'; allowed"),
        ({"head_mean": float("inf")}, "head mean is inf; allowed"),
        ({"spectrum": (1.0, 2.0)}, "spectrum has shape (2,), tasks are fixed; allowed: (3,) and fixed tasks"),
        ({"spectrum": (1.0, 2.0, 3.0), "tasks": "fresh"}, "tasks are fresh; allowed: (3,) and fixed tasks"),
        ({"spectrum": (1.0, 2.0, -3.0)}, "allowed: k finite eigenvalues, none negative"),
        (
            {"spectrum": (1.0, 2.0, 3.0), "n": 2},
            "spectrum has 3 positive eigenvalues with n = 2 tasks; allowed: at most n",
        ),
    ],
)
def test_bad_arguments_are_named_in_one_line(arguments, message):
    good = {"d": 20, "k": 3, "n": 4, "alpha": 0.1, "rng": np.random.default_rng(0)}
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        make_problem(**{**good, **arguments})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("n", "mean", "message"),
    [
        (5, (2.0, 0.0), "allowed: sum of mean²/spectrum at most 1"),
        (2, (0.5, 0.0), "n is 2 with 2 positive eigenvalues and a prescribed mean; allowed: n >= 3"),
    ],
)
def test_impossible_means(n, mean, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        heads_with_spectrum((1.0, 1.0), n, np.random.default_rng(0), mean=mean)


def test_what_a_small_archive_unpacks_to_is_bounded(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "bomb.npz", heads=np.zeros((2, 10_000)))
    assert (tmp_path / "bomb.npz").stat().st_size < 1000
    with monkeypatch.context() as patched:
        patched.setattr(problems, "MOST_BYTES", 100_000)
        with pytest.raises(ValueError, match=r"bomb\.npz unpacks to 0\.00016 GB; allowed: up to 0\.0001 GB"):
            load_problem(tmp_path / "bomb.npz", 0.1, np.random.default_rng(0), d=5)
    header = {"descr": "<f8", "fortran_order": False, "shape": (2, 10**12)}
    with zipfile.ZipFile(tmp_path / "lies.npz", "w") as archive, archive.open("heads.npy", "w") as file:
        np.lib.format.write_array_header_1_0(file, header)
        file.write(b"few bytes")
    with pytest.raises(ValueError, match="cannot read heads in"):
        load_problem(tmp_path / "lies.npz", 0.1, np.random.default_rng(0), d=5)
