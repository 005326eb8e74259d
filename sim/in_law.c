/* Steps in law compiled: those of sampling/in_law.py by hand, LANES trials at a time, on random numbers that are given.

Letters are those of sampling/in_law.py and sampling/gaussian_queries.py, where the laws are. */

#include "lanes.h"

#include <limits.h>

#define TASKS 64 /* of a step */
#define ROWS (2 * MOST + 3 * TASKS)

typedef long long bits __attribute__((vector_size(8 * LANES), aligned(8)));

/* As sampling/compiled.py has it. The random numbers are those of several steps, of which the first one taken is at
place: (trials, ahead, ...), of all normal directions (trials, ahead, directions, rows). */
struct given {
    long long learner, k, width, inside, rows, tasks, trials, ahead, place, steps;
    long long directions;    /* fresh ones of a step, of all its data sets */
    long long turned;        /* whether there is an outside */
    long long along, across; /* shape of the outside that is drawn by itself; 0 if the directions have it */
    long long heads_apart;   /* numbers from a trial's heads to the next one's */
    double *B, *w;           /* (trials, inside, width) and (trials, width), written to */
    const double *heads;     /* (k, tasks) of each trial */
    const double *alpha, *beta, *sigma, *m_in, *m_out; /* (trials) */
    const double *inner_chi2, *inner_normal, *second_chi2, *second_normal, *outer_chi2, *outer_normal, *outside;
};

/* Where the numbers of each trial of a group are; NULL if there are none */
struct source {
    const double *of[LANES];
};

/* Lanes beyond the last trial repeat it. */
INLINE struct source source_of(const double *numbers, long long apart, long long first, long long trials) {
    struct source s;
    EACH(lane, LANES) s.of[lane] = numbers ? numbers + (first + lane < trials ? first + lane : trials - 1) * apart : 0;
    return s;
}

INLINE lanes take(const struct source *s, long long at) {
    lanes found;
    EACH(lane, LANES) found[lane] = s->of[lane][at];
    return found;
}

/* Random numbers behind a step's inner or outer data sets; without chi2 they are the population. */
struct samples {
    lanes m;
    struct source chi2, normal, second_chi2, second_normal;
};

struct answer {
    lanes gradient[ROWS], unit[ROWS], revealed[ROWS], scale, shrink;
};

INLINE lanes where(bits truth, lanes one, lanes other) {
    return (lanes)((truth & (bits)one) | (~truth & (bits)other));
}

INLINE lanes root(lanes x) {
    EACH(lane, LANES) x[lane] = sqrt(x[lane]);
    return x;
}

INLINE lanes or_one(lanes size) { return where(size > 0, size, (lanes){0} + 1); }

INLINE lanes dot(int size, const lanes *left, const lanes *right) {
    lanes total = {0};
    EACH(i, size) total += left[i] * right[i];
    return total;
}

INLINE void first_query(int rows, const struct samples *s, int task, const lanes *u, lanes sigma, struct answer *a) {
    if (!s->chi2.of[0]) {
        memcpy(a->gradient, u, sizeof(lanes) * rows);
        a->scale = (lanes){0};
        return;
    }
    lanes tau = root(dot(rows, u, u) + sigma * sigma), safe = or_one(tau), length = root(take(&s->chi2, task));
    lanes normal[ROWS];
    EACH(r, rows) normal[r] = take(&s->normal, task * rows + r);
    a->scale = tau * length / s->m;
    a->shrink = tau / (safe + sigma);
    EACH(r, rows) a->unit[r] = u[r] / safe;
    lanes along = length - a->shrink * dot(rows, a->unit, normal);
    EACH(r, rows) {
        a->revealed[r] = a->unit[r] * along + normal[r];
        a->gradient[r] = a->scale * a->revealed[r];
    }
}

/* How much of the two fresh directions there is in the product: along_first and along_second */
INLINE void second_query(int rows, const struct samples *s, int task, const struct answer *first, const lanes *u,
                         lanes *product, lanes *along_first, lanes *along_second) {
    if (!s->chi2.of[0]) {
        memcpy(product, u, sizeof(lanes) * rows);
        *along_first = *along_second = (lanes){0};
        return;
    }
    lanes normal[ROWS], b[ROWS], q = take(&s->second_chi2, task), seen = first->shrink * dot(rows, first->unit, u);
    EACH(r, rows) {
        normal[r] = take(&s->second_normal, task * rows + r);
        b[r] = u[r] - first->unit[r] * seen;
    }
    lanes norm = root(dot(rows, b, b)), safe = or_one(norm), fresh = root(q) * norm;
    EACH(r, rows) b[r] /= safe;
    lanes along = q * norm - fresh * dot(rows, b, normal);
    EACH(r, rows) b[r] = fresh * normal[r] + b[r] * along;
    lanes overlap = dot(rows, first->revealed, u), back = first->shrink * dot(rows, first->unit, b);
    EACH(r, rows) product[r] = (first->revealed[r] * overlap + b[r] - first->unit[r] * back) / s->m;
    *along_first = overlap / s->m;
    *along_second = fresh / s->m;
}

/* R of a QR factorisation in place of the first rows, with the signs of LAPACK's dgeqr2 and dlarfg */
static void triangular_factor(int rows, int columns, lanes *A) {
    EACH(i, columns) {
        lanes *top = A + i * columns, largest = {0}, square = {0}, along[MOST];
        for (int r = i; r < rows; r++) {
            lanes entry = A[r * columns + i];
            entry = where(entry < 0, -entry, entry);
            largest = where(entry > largest, entry, largest);
        }
        lanes safe = or_one(largest), own = top[i] / safe; /* a small column's squares do not vanish */
        for (int r = i + 1; r < rows; r++) {
            lanes share = A[r * columns + i] / safe;
            square += share * share;
        }
        lanes norm = safe * root(own * own + square), beta = -(lanes)((bits)norm | ((bits)top[i] & LLONG_MIN));
        bits zero = square == 0; /* the rest of the column: then it stays */
        lanes tau = where(zero, (lanes){0}, (beta - top[i]) / beta), pivot = where(zero, (lanes){0} + 1, top[i] - beta);
        for (int j = i + 1; j < columns; j++) along[j] = top[j];
        for (int r = i + 1; r < rows; r++) {
            lanes *row = A + r * columns;
            row[i] /= pivot;
            for (int j = i + 1; j < columns; j++) along[j] += row[i] * row[j];
        }
        top[i] = where(zero, top[i], beta);
        for (int j = i + 1; j < columns; j++) {
            top[j] -= tau * along[j];
            for (int r = i + 1; r < rows; r++) A[r * columns + j] -= tau * A[r * columns + i] * along[j];
        }
    }
    EACH(i, columns) EACH(j, i) A[i * columns + j] = (lanes){0};
}

/* u (rows) = B x: the rows of B beyond those inside are zero */
INLINE void times(const struct given *g, const lanes *B, const lanes *x, lanes *u) {
    EACH(r, g->inside) u[r] = dot(g->width, B + r * g->width, x);
    memset(u + g->inside, 0, sizeof(lanes) * (g->rows - g->inside));
}

INLINE void times_transposed(const struct given *g, const lanes *B, const lanes *u, lanes *x) {
    memset(x, 0, sizeof(lanes) * g->width);
    EACH(r, g->inside) EACH(i, g->width) x[i] += B[r * g->width + i] * u[r];
}

INLINE void add_outer(const struct given *g, lanes size, const lanes *u, const lanes *x, lanes *sum) {
    EACH(r, g->rows) EACH(i, g->width) sum[r * g->width + i] += size * u[r] * x[i];
}

/* B - beta grad_B with, below, what is outside: turned until it has as many perpendicular rows as before. sum has room
for rows of the outside. */
INLINE void move(const struct given *g, const struct source *outside, lanes beta, lanes *sum, int in_factor,
                 lanes *factor, lanes *B) {
    int width = g->width, rows = g->rows, along = g->along, across = g->across;
    lanes size = beta / (double)g->tasks;
    EACH(at, rows * width) sum[at] = (at < g->inside * width ? B[at] : (lanes){0}) - size * sum[at];
    if (g->turned) {
        if (along && in_factor > width) triangular_factor(in_factor, width, factor);
        EACH(r, across) EACH(j, width) {
            lanes total = {0};
            EACH(i, along) total += take(outside, i * across + r) * factor[i * width + j];
            sum[(rows + r) * width + j] = size * total;
        }
        triangular_factor(rows - g->k + across, width, sum + g->k * width);
    }
    memcpy(B, sum, sizeof(lanes) * g->inside * width);
}

/* One step of a group, in place */
static void step(const struct given *g, const struct samples *inner, const struct samples *outer,
                 const struct source *outside, const struct source *heads, lanes alpha, lanes beta, lanes sigma,
                 lanes *B, lanes *w) {
    int width = g->width, rows = g->rows, tasks = g->tasks, k = g->k, learner = g->learner, in_factor = tasks;
    int is_maml = learner >= FO_MAML, exact = learner == ANIL || learner == MAML;
    lanes sum_B[(ROWS + MOST) * MOST], sum_w[MOST] = {{0}}, factor[(2 * TASKS + 1) * MOST], squares = {0};
    lanes u[ROWS], product[ROWS], sum[ROWS], W[MOST], G[MOST], along_first, along_second;
    struct answer h, v;
    memset(sum_B, 0, sizeof(lanes) * rows * width);
    memset(sum, 0, sizeof(lanes) * rows);
    EACH(i, tasks) {
        lanes overlap = {0}, hv = {0};
        times(g, B, w, u);
        EACH(r, k) u[r] -= take(heads, r * tasks + i);
        if (learner == AVERAGE_LOSS) {
            first_query(rows, outer, i, u, sigma, &v);
            EACH(r, rows) sum[r] += v.gradient[r];
            squares += v.scale * v.scale;
            continue;
        }
        first_query(rows, inner, i, u, sigma, &h);
        times_transposed(g, B, h.gradient, W);
        EACH(j, width) W[j] = w[j] - alpha * W[j];
        times(g, B, W, u);
        EACH(r, k) u[r] -= take(heads, r * tasks + i);
        if (is_maml) {
            overlap = dot(width, w, W);
            EACH(r, rows) u[r] -= alpha * overlap * h.gradient[r];
        }
        first_query(rows, outer, i, u, sigma, &v);
        times_transposed(g, B, v.gradient, G);
        if (is_maml) {
            hv = dot(rows, h.gradient, v.gradient);
            EACH(j, width) G[j] -= alpha * hv * w[j];
        }
        add_outer(g, (lanes){0} + 1, v.gradient, W, sum_B);
        EACH(j, width) sum_w[j] += G[j];
        EACH(j, width) factor[i * width + j] = v.scale * W[j];
        if (!exact) continue;
        times(g, B, G, u);
        if (is_maml) {
            EACH(r, rows) u[r] += overlap * v.gradient[r];
            EACH(j, width) sum_w[j] -= alpha * hv * W[j];
        }
        second_query(rows, inner, i, &h, u, product, &along_first, &along_second);
        EACH(r, rows) sum[r] += product[r];
        add_outer(g, -alpha, h.gradient, G, sum_B);
        EACH(j, width) factor[(tasks + i) * width + j] = alpha * (h.scale * G[j] + along_first * w[j]);
        squares += along_second * along_second;
    }
    if (exact || learner == AVERAGE_LOSS) {
        lanes size = exact ? -alpha : (lanes){0} + 1;
        in_factor = exact ? 2 * tasks + 1 : 1;
        times_transposed(g, B, sum, G);
        EACH(j, width) sum_w[j] += size * G[j];
        add_outer(g, size, sum, w, sum_B);
        EACH(j, width) factor[(in_factor - 1) * width + j] = (exact ? alpha : size) * root(squares) * w[j];
    }
    move(g, outside, beta, sum_B, in_factor, factor, B);
    EACH(j, width) w[j] -= beta * (sum_w[j] / (double)tasks);
}

/* --- what Python calls */

/* Whether the caller takes TASKS for what they are. */
int metarep_in_law_fits(int tasks) { return tasks == TASKS; }

/* So many steps of every trial, all with the same heads. */
void metarep_in_law(const struct given *g) {
    long long tasks = g->tasks, normals = g->directions * g->rows, outside = g->along * g->across;
    int numbers = g->inside * g->width;
    lanes B[2 * MOST * MOST], w[MOST];
    for (long long first = 0; first < g->trials; first += LANES) {
#define OF(numbers, apart) source_of(numbers, apart, first, g->trials)
#define DRAWN(numbers, size) source_of((numbers) ? (numbers) + place * (size) : 0, g->ahead * (size), first, g->trials)
        struct source heads = OF(g->heads, g->heads_apart), start_B = OF(g->B, numbers), start_w = OF(g->w, g->width);
        struct source alpha = OF(g->alpha, 1), beta = OF(g->beta, 1), sigma = OF(g->sigma, 1);
        struct source m_in = OF(g->m_in, 1), m_out = OF(g->m_out, 1);
        EACH(i, numbers) B[i] = take(&start_B, i);
        EACH(i, g->width) w[i] = take(&start_w, i);
        for (long long place = g->place; place < g->place + g->steps; place++) {
            struct source beyond = DRAWN(g->outside, outside);
            struct samples inner = {
                take(&m_in, 0), DRAWN(g->inner_chi2, tasks), DRAWN(g->inner_normal, normals),
                DRAWN(g->second_chi2, tasks), DRAWN(g->second_normal, normals),
            };
            struct samples outer = {
                take(&m_out, 0), DRAWN(g->outer_chi2, tasks), DRAWN(g->outer_normal, normals), {{0}}, {{0}},
            };
            step(g, &inner, &outer, &beyond, &heads, take(&alpha, 0), take(&beta, 0), take(&sigma, 0), B, w);
        }
        EACH(lane, LANES) if (first + lane < g->trials) {
            EACH(i, numbers) g->B[(first + lane) * numbers + i] = B[i][lane];
            EACH(i, g->width) g->w[(first + lane) * g->width + i] = w[i][lane];
        }
#undef OF
#undef DRAWN
    }
}
