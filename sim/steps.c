/* A run's steps compiled: the maps of moments.py by hand, LANES trials at a time, for B_* = [I_p; 0] and k columns of B.
Where there is no C compiler the package is installed without this.

Letters are those of moments.py; the source of the maps is the one given there. */

#include "lanes.h"

#define MOST_Q (MOST + 1)
#define MOST_PAIRS (MOST_Q * (MOST_Q + 1) / 2)
#define TOGETHER 8  /* tasks whose moments are summed at a time */

/* --- products: the strides say what is transposed */

/* out (rows x columns) = left (rows x inner) right (inner x columns); entry (i, j) stands at i * row + j * column */
INLINE void product(int rows, int inner, int columns, const lanes *left, int row, int column, const lanes *right,
                    int right_row, int right_column, lanes *out) {
    EACH(i, rows) EACH(j, columns) {
        lanes total = {0};
        EACH(h, inner) total += left[i * row + h * column] * right[h * right_row + j * right_column];
        out[i * columns + j] = total;
    }
}

INLINE void symmetric_product(int size, int inner, const lanes *left, int row, int column, const lanes *right,
                              int right_row, int right_column, lanes *out) {
    EACH(i, size) EACH(j, i + 1) {
        lanes total = {0};
        EACH(h, inner) total += left[i * row + h * column] * right[h * right_row + j * right_column];
        out[i * size + j] = out[j * size + i] = total;
    }
}

INLINE void times(int rows, int inner, const lanes *matrix, const lanes *vector, lanes *out) {
    product(rows, inner, 1, matrix, inner, 1, vector, 1, 0, out);
}

INLINE void times_transposed(int rows, int columns, const lanes *matrix, const lanes *vector, lanes *out) {
    product(columns, rows, 1, matrix, 1, columns, vector, 1, 0, out);
}

/* left (rows x inner) times right (columns x inner) transposed */
INLINE void with_transposed(int rows, int inner, int columns, const lanes *left, const lanes *right, lanes *out) {
    product(rows, inner, columns, left, inner, 1, right, 1, inner, out);
}

/* --- moments */

/* Average loss needs the mean alone: its pairs are the first ones, those with e_0 = 1. */
INLINE int pairs_of(int learner, int p) {
    return learner == AVERAGE_LOSS ? p + 1 : (p + 1) * (p + 2) / 2;
}

INLINE int columns_of(int learner, int p) {
    return learner == MAML ? (p + 1) * (p + 2) / 2 : learner == FO_MAML ? p + 1 : 1;
}

/* Means of products of the entries of e = (1, h) over tasks: out (pairs x columns), with the first columns of the pairs.
heads (trials, p, n) of doubles; lanes beyond the last trial repeat it. */
INLINE void moments_of(int learner, const double *heads, long trials, long first, long n, int p, lanes *out) {
    int q = p + 1, pairs = pairs_of(learner, p), columns = columns_of(learner, p);
    lanes products[TOGETHER][MOST_PAIRS];
    memset(out, 0, sizeof(lanes) * pairs * columns);
    for (long begin = 0; begin < n; begin += TOGETHER) {
        int count = n - begin < TOGETHER ? (int)(n - begin) : TOGETHER;
        EACH(place, count) {
            lanes e[MOST_Q] = {{0}};
            EACH(lane, LANES) {
                long trial = first + lane < trials ? first + lane : trials - 1;
                e[0][lane] = 1;
                EACH(j, p) e[j + 1][lane] = heads[(trial * p + j) * n + begin + place];
            }
            lanes *at = products[place];
            EACH(a, pairs > q ? q : 1) for (int b = a; b < q; b++) *at++ = e[a] * e[b];
        }
        EACH(a, pairs) EACH(b, a < columns ? a + 1 : columns) {
            lanes total = {0};
            EACH(place, count) total += products[place][a] * products[place][b];
            out[a * columns + b] += total;
        }
    }
    EACH(a, pairs) EACH(b, a < columns ? a + 1 : columns) {
        out[a * columns + b] /= (double)n;
        if (a < columns) out[b * columns + a] = out[a * columns + b];
    }
}

/* The symmetric matrix (q x q) with these pairs, which stand so far from each other */
INLINE void unpack(int q, const lanes *pairs, int apart, lanes *out) {
    EACH(a, q) for (int b = a; b < q; b++, pairs += apart) out[a * q + b] = out[b * q + a] = *pairs;
}

/* What each pair multiplies in e'Xe */
INLINE void pack(int q, const lanes *X, lanes *pairs) {
    EACH(a, q) {
        *pairs++ = X[a * q + a];
        for (int b = a + 1; b < q; b++) *pairs++ = X[a * q + b] + X[b * q + a];
    }
}

/* --- a step of a group */

struct group {
    int k, p, q, rows, pairs, columns;
    lanes *B, *w, alpha, beta;
    const lanes *moments;
    lanes second[MOST_Q * MOST_Q], third[MOST_Q * MOST_Q];
    lanes G[MOST * MOST], u[MOST], W[MOST * MOST_Q], P[MOST_Q * MOST];
    lanes N[MOST * MOST], grad_w[MOST]; /* grad_B = B N - [C; 0], with the last p rows of P for C */
};

INLINE void take_second(enum learner learner, struct group *g) {
    if (learner == AVERAGE_LOSS) memcpy(g->second, g->moments, sizeof(lanes) * g->q);
    else unpack(g->q, g->moments, g->columns, g->second);
}

INLINE void average_loss(struct group *g) {
    int k = g->k;
    lanes grad_w[MOST] = {{0}};
    EACH(r, g->rows) {
        lanes *b = g->B + r * k, residual = r < g->p ? -g->second[r + 1] : (lanes){0};
        EACH(i, k) residual += b[i] * g->w[i];
        EACH(i, k) {
            grad_w[i] += b[i] * residual;
            b[i] -= g->beta * residual * g->w[i];
        }
    }
    EACH(i, k) g->w[i] -= g->beta * grad_w[i];
}

INLINE void inner_step(struct group *g) {
    int k = g->k, q = g->q;
    symmetric_product(k, g->rows, g->B, 1, k, g->B, k, 1, g->G);
    times(k, k, g->G, g->w, g->u);
    EACH(i, k) {
        g->W[i * q] = g->w[i] - g->alpha * g->u[i];
        EACH(j, g->p) g->W[i * q + j + 1] = g->alpha * g->B[j * k + i];
    }
    with_transposed(q, q, k, g->second, g->W, g->P);
    symmetric_product(k, q, g->W, q, 1, g->P, k, 1, g->N);
}

/* B' times the mean residual after the head has adapted */
INLINE void mean_pulled(const struct group *g, lanes *out) {
    EACH(i, g->k) {
        lanes total = {0};
        EACH(j, g->k) total += g->G[i * g->k + j] * g->P[j];
        EACH(j, g->p) total -= g->B[j * g->k + i] * g->second[j + 1];
        out[i] = total;
    }
}

/* B'[B, -F][W; e]: what of a task is B'v when the head alone has adapted, Z (k x q) */
INLINE void pulled_residual(const struct group *g, lanes *Z) {
    int k = g->k, q = g->q;
    product(k, k, q, g->G, k, 1, g->W, q, 1, Z);
    EACH(i, k) EACH(j, g->p) Z[i * q + j + 1] -= g->B[j * k + i];
}

INLINE void anil(struct group *g) {
    int k = g->k, q = g->q;
    lanes Z[MOST * MOST_Q], Q[MOST_Q * MOST], back[MOST];
    pulled_residual(g, Z);
    with_transposed(q, q, k, g->second, Z, Q);
    times(k, k, g->G, Q, back);
    EACH(i, k) {
        EACH(j, k) g->N[i * k + j] -= g->alpha * (Q[i] * g->w[j] + g->w[i] * Q[j]);
        g->grad_w[i] = Q[i] - g->alpha * back[i];
    }
    EACH(i, g->p * k) g->P[k + i] -= g->alpha * Q[k + i];
}

/* The mean of (w'w_i) ee', third; w'W, s */
INLINE void third_moments(struct group *g, lanes *s) {
    lanes packed[MOST_PAIRS];
    times_transposed(g->k, g->q, g->W, g->w, s);
    EACH(a, g->pairs) {
        lanes total = {0};
        EACH(b, g->q) total += g->moments[a * g->columns + b] * s[b];
        packed[a] = total;
    }
    unpack(g->q, packed, 1, g->third);
}

INLINE void fo_maml(struct group *g) {
    int k = g->k, q = g->q;
    lanes s[MOST_Q], S[MOST_Q * MOST], rv = {0}, alpha = g->alpha;
    third_moments(g, s);
    mean_pulled(g, g->grad_w);
    EACH(i, k) {
        lanes along = {0};
        EACH(j, g->p) along += g->B[j * k + i] * g->third[j + 1];
        g->grad_w[i] -= alpha * (g->u[i] * g->third[0] - along);
        rv += g->w[i] * (g->grad_w[i] + alpha * along);
        EACH(j, g->p) rv -= g->B[j * k + i] * g->P[(j + 1) * k + i];
    }
    EACH(j, g->p) rv += g->second[(j + 1) * (q + 1)] - alpha * g->third[(j + 1) * (q + 1)];
    with_transposed(q, q, k, g->third, g->W, S);
    EACH(i, k) {
        g->grad_w[i] -= alpha * rv * g->w[i];
        EACH(j, k) g->N[i * k + j] -= alpha * g->w[i] * S[j];
    }
    EACH(i, g->p * k) g->P[k + i] -= alpha * S[k + i];
}

INLINE void maml(struct group *g) {
    int k = g->k, p = g->p, q = g->q, pairs = g->pairs;
    const lanes *B = g->B, *w = g->w, *u = g->u, *W = g->W, *second = g->second, *third = g->third;
    const lanes *fourth = g->moments, alpha = g->alpha;
    lanes s[MOST_Q], Z[MOST * MOST_Q], Q[MOST_Q * MOST], S[MOST_Q * MOST], X[MOST_Q * MOST_Q];
    lanes packed[MOST_PAIRS], answer[MOST_PAIRS], c[MOST_Q], y[MOST_Q], z[MOST_Q];
    lanes first[MOST], mean_u[MOST];
    third_moments(g, s);
    pulled_residual(g, Z);
    with_transposed(q, q, k, second, Z, Q);
    with_transposed(q, q, k, third, W, S);
    /* R'V with R = [Bw, -F]: its first row is w'Z */
    times_transposed(k, q, Z, w, X);
    EACH(b, p) {
        EACH(a, q) {
            lanes total = {0};
            EACH(i, k) total -= B[b * k + i] * W[i * q + a];
            X[(b + 1) * q + a] = total;
        }
        X[(b + 1) * q + b + 1] += 1.0;
    }
    pack(q, X, packed);
    EACH(a, q) {
        lanes total = {0};
        EACH(b, pairs) total += fourth[b * pairs + a] * packed[b];
        c[a] = total;
    }
    /* R'R = [w'Gw, -w'A; -A'w, I] */
    lanes square = {0};
    EACH(i, k) square += w[i] * u[i];
    X[0] = square;
    EACH(a, p) {
        lanes total = {0};
        EACH(i, k) total -= w[i] * B[a * k + i];
        X[a + 1] = X[(a + 1) * q] = total;
        EACH(b, p) X[(a + 1) * q + b + 1] = (lanes){0} + (a == b);
    }
    pack(q, X, packed);
    times(pairs, pairs, fourth, packed, answer);
    unpack(q, answer, 1, X); /* the mean of |r|^2 ee' */
    times(q, q, X, s, y);
    EACH(a, q) c[a] -= alpha * y[a]; /* the mean of (r'v) e */
    EACH(a, q) EACH(i, k) {
        lanes total = third[a * q] * u[i];
        EACH(j, p) total -= third[a * q + j + 1] * B[j * k + i];
        Q[a * k + i] -= alpha * total;
    }
    times(q, q, second, s, y);
    times(q, q, third, s, z);
    EACH(i, k) {
        first[i] = Q[i] - alpha * c[0] * w[i];
        lanes total = first[i] - alpha * z[0] * w[i];
        EACH(a, q) total += W[i * q + a] * y[a];
        mean_u[i] = total;
    }
    EACH(a, q) z[a] = y[a] - alpha * z[a];
    EACH(i, k) {
        lanes pulled = {0};
        EACH(j, k) pulled += g->G[i * k + j] * mean_u[j];
        EACH(j, p) pulled -= B[j * k + i] * z[j + 1];
        EACH(a, q) pulled += W[i * q + a] * c[a];
        g->grad_w[i] = first[i] - alpha * pulled;
        EACH(j, k) g->N[i * k + j] -= alpha * (w[i] * (S[j] + first[j]) + mean_u[i] * w[j]);
    }
    for (int a = 1; a < q; a++) EACH(j, k) {
        lanes rest = (z[a] - alpha * c[a]) * w[j];
        g->P[a * k + j] -= alpha * (S[a * k + j] + rest + Q[a * k + j]);
    }
}

/* B - beta (B N - [C; 0]) and w - beta grad_w, in place */
INLINE void move(struct group *g) {
    int k = g->k;
    EACH(r, g->rows) {
        lanes row[MOST], *b = g->B + r * k;
        EACH(i, k) row[i] = b[i];
        EACH(i, k) {
            lanes total = {0};
            EACH(j, k) total += row[j] * g->N[j * k + i];
            b[i] = row[i] - g->beta * total;
        }
        if (r < g->p) EACH(i, k) b[i] += g->beta * g->P[(r + 1) * k + i];
    }
    EACH(i, k) g->w[i] -= g->beta * g->grad_w[i];
}

/* Set the lanes that have diverged by now to zero and note the step; whether all have. A bound that is not a number
stands for none: what is not finite stays so. */
INLINE int freeze(struct group *g, const double *bound, long long *diverged_at, long long step) {
    int numbers = g->rows * g->k, fine = 1, gone = 0;
    lanes size = {0}, length = {0};
    if (isnan(bound[0])) return 0;
    EACH(i, numbers) size += g->B[i] * g->B[i];
    EACH(i, g->k) length += g->w[i] * g->w[i];
    EACH(lane, LANES) fine &= size[lane] <= bound[lane] && length[lane] < INFINITY;
    if (fine) return 0;
    EACH(lane, LANES) {
        int finite = 1;
        EACH(i, g->k) finite &= isfinite(g->w[i][lane]) != 0;
        if (!(size[lane] <= bound[lane] && finite)) {
            EACH(i, numbers) g->B[i][lane] = 0;
            EACH(i, g->k) g->w[i][lane] = 0;
            if (diverged_at[lane] < 0) diverged_at[lane] = step;
        }
        gone += diverged_at[lane] >= 0;
    }
    return gone == LANES;
}

/* Where B is kept on the way: after every so many steps, but not after the last one */
struct kept {
    long long every;
    lanes *B;
    long apart;
};

INLINE void steps_of(enum learner learner, struct group *g, lanes *own, const double *heads, long trials, long first,
                     long n, const double *bound, long long *diverged_at, long long step, long long steps,
                     struct kept kept) {
    if (!heads) take_second(learner, g);
    for (long long done = 0; done < steps; done++) {
        if (heads) {
            moments_of(learner, heads + done * trials * g->p * n, trials, first, n, g->p, own);
            take_second(learner, g);
        }
        if (learner == AVERAGE_LOSS) {
            average_loss(g);
        } else {
            inner_step(g);
            if (learner == FO_ANIL) mean_pulled(g, g->grad_w);
            if (learner == ANIL) anil(g);
            if (learner == FO_MAML) fo_maml(g);
            if (learner == MAML) maml(g);
            move(g);
        }
        if (freeze(g, bound, diverged_at, step + done + 1)) break;
        if (kept.every && (step + done + 1) % kept.every == 0 && done + 1 < steps) {
            memcpy(kept.B, g->B, sizeof(lanes) * g->rows * g->k);
            kept.B += kept.apart;
        }
    }
}

/* --- what Python calls; all arrays of doubles but diverged_at */

/* Whether it can, with what the caller takes LANES and MOST for. */
int metarep_can_run(int lanes_taken, int most_taken) { return lanes_taken == LANES && most_taken == MOST && CAN_RUN; }

/* How many moments there are of a group. */
int metarep_moments_count(int learner, int p) { return pairs_of(learner, p) * columns_of(learner, p); }

/* Moments of tasks that stay: heads (trials, p, n) -> out (groups, count, LANES). */
void metarep_moments(int learner, int p, long trials, long n, const double *heads, double *out) {
    int count = metarep_moments_count(learner, p);
    for (long first = 0; first < trials; first += LANES)
        moments_of(learner, heads, trials, first, n, p, (lanes *)out + first / LANES * count);
}

INLINE int how_many_gone(const long long *diverged_at) {
    int gone = 0;
    EACH(lane, LANES) gone += diverged_at[lane] >= 0;
    return gone;
}

/* So many steps of every group, from this one on, in place; whether any lane has diverged meanwhile. B (groups, rows, k, LANES), w (groups, k, LANES), alpha,
beta, bound and diverged_at (groups, LANES). All with the same moments (1 or groups of them), or each step with those of
its own heads (steps, 1 or as many trials, p, n). After every so many steps, if any, but not after the last one, B goes
to passed (as often as that is, groups, rows, k, LANES) as well, of a group until all of it has diverged. */
int metarep_advance(int learner, int k, int p, int rows, long groups, double *B, double *w, const double *alpha,
                     const double *beta, const double *bound, long long *diverged_at, const double *moments,
                     long moments_groups, const double *heads, long trials, long n, long long step, long long steps,
                     long long every, double *passed) {
    struct group g = {.k = k, .p = p, .q = p + 1, .rows = rows, .pairs = pairs_of(learner, p)};
    lanes own[MOST_PAIRS * MOST_PAIRS];
    int news = 0;
    g.columns = columns_of(learner, p);
    for (long at = 0; at < groups; at++) {
        const double *own_bound = bound + at * LANES;
        long long *own_diverged_at = diverged_at + at * LANES;
        int gone = how_many_gone(own_diverged_at);
        if (gone == LANES) continue;
        g.B = (lanes *)B + at * rows * k;
        g.w = (lanes *)w + at * k;
        g.alpha = ((const lanes *)alpha)[at];
        g.beta = ((const lanes *)beta)[at];
        g.moments = heads ? own : (const lanes *)moments + (moments_groups > 1 ? at : 0) * g.pairs * g.columns;
        struct kept kept = {every, (lanes *)passed + at * rows * k, groups * rows * k};
#define STEPS(learner) \
    steps_of(learner, &g, own, heads, trials, at * LANES, n, own_bound, own_diverged_at, step, steps, kept)
        switch (learner) {
            case AVERAGE_LOSS: STEPS(AVERAGE_LOSS); break;
            case FO_ANIL: STEPS(FO_ANIL); break;
            case ANIL: STEPS(ANIL); break;
            case FO_MAML: STEPS(FO_MAML); break;
            case MAML: STEPS(MAML); break;
        }
#undef STEPS
        news |= how_many_gone(own_diverged_at) != gone;
    }
    return news;
}

/* --- subspace distances, one matrix after another; see metrics.py for what is computed and why it is accurate */

#define SWEEPS 30  /* Jacobi's take some six; a matrix that needs more is NumPy's */

/* The largest eigenvalue of a symmetric matrix (size x size), which is overwritten, by Jacobi's rotations, or NaN. */
static double largest_eigenvalue(int size, double (*A)[MOST]) {
    double trace = 0;
    EACH(i, size) trace += A[i][i];
    for (int sweep = 0, turned = 1; turned; sweep++) {
        if (sweep == SWEEPS) return NAN;
        turned = 0;
        EACH(i, size) for (int j = i + 1; j < size; j++) {
            if (fabs(A[i][j]) <= 1e-17 * trace) continue; /* a tenth of the rounding error of the largest */
            turned = 1;
            double half = (A[j][j] - A[i][i]) / (2 * A[i][j]);
            double tangent = copysign(1, half) / (fabs(half) + sqrt(1 + half * half));
            double cosine = 1 / sqrt(1 + tangent * tangent), sine = tangent * cosine, moved = tangent * A[i][j];
            A[i][i] -= moved;
            A[j][j] += moved;
            A[i][j] = A[j][i] = 0;
            EACH(h, size) if (h != i && h != j) {
                double one = A[i][h], other = A[j][h];
                A[i][h] = A[h][i] = cosine * one - sine * other;
                A[j][h] = A[h][j] = sine * one + cosine * other;
            }
        }
    }
    double largest = A[0][0];
    EACH(i, size) largest = A[i][i] > largest ? A[i][i] : largest;
    return largest;
}

/* R of B = QR by Gram and Schmidt (rows x k, overwritten); whether no |R_ii| is below so much of the largest. */
static int orthonormalised(int k, int rows, double *B, double (*R)[MOST], double least) {
    double smallest = INFINITY, largest = 0;
    EACH(j, k) {
        for (int i = 0; i < j; i++) {
            double overlap = 0;
            EACH(h, rows) overlap += B[h * k + i] * B[h * k + j];
            EACH(h, rows) B[h * k + j] -= overlap * B[h * k + i];
            R[i][j] = overlap;
        }
        double square = 0;
        EACH(h, rows) square += B[h * k + j] * B[h * k + j];
        R[j][j] = sqrt(square);
        smallest = R[j][j] < smallest ? R[j][j] : smallest;
        largest = R[j][j] > largest ? R[j][j] : largest;
        EACH(h, rows) B[h * k + j] /= R[j][j];
    }
    return smallest > least * largest;
}

static double distance(int k, int p, int rows, const double *B, double *work, double least) {
    double size = 0, scale = 0, R[MOST][MOST], gram[MOST][MOST] = {{0}};
    EACH(i, rows * k) {
        double here = fabs(B[i]);
        if (!(here < INFINITY)) return NAN;
        size = here > size ? here : size;
        if (i >= p * k) scale = here > scale ? here : scale;
    }
    if (size == 0 || k > rows) return NAN;
    EACH(i, rows * k) work[i] = B[i] / size;
    if (!orthonormalised(k, rows, work, R, least)) return NAN;
    for (int row = p; row < rows && scale > 0; row++) {
        double z[MOST];
        EACH(j, k) {
            z[j] = B[row * k + j] / scale;
            for (int i = 0; i < j; i++) z[j] -= z[i] * R[i][j];
            z[j] /= R[j][j];
        }
        EACH(i, k) EACH(j, k) gram[i][j] += z[i] * z[j];
    }
    double sine = scale / size * sqrt(largest_eigenvalue(k, gram));
    return sine < 1 ? sine : sine >= 1 ? 1 : NAN;
}

/* dist of each B (count, rows, k) to [I_p; 0], or NaN where it is none of a finite B of full rank, safely: where an
|R_ii| is below `least` of the largest. work (rows, k). */
void metarep_distances(int k, int p, int rows, long count, const double *B, double *work, double least, double *out) {
    for (long at = 0; at < count; at++) out[at] = distance(k, p, rows, B + at * rows * k, work, least);
}
