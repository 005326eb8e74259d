"""The chapter on the setting and its symbols: what a reader needs to read any statement of the report."""

from metarep.reports.chapters.chapter import Chapter, Results
from metarep.reports.page import blocks as b

PAPER = "[arXiv 2202.03483](https://arxiv.org/abs/2202.03483)"

SYMBOLS = (
    (r"$d$, $k$, $n$", "dimension of the data, of the representation; number of tasks in an outer step"),
    (r"$B$, $w$", r"the learner's representation ($d \times k$) and head ($k$)"),
    (
        r"$B_*$, $w_{*,i}$, $\theta_i = B_* w_{*,i}$",
        "the true representation (orthonormal columns), task $i$'s head, its target",
    ),
    (r"$W_*$, $\Theta$", "all heads and all targets as columns, in examples"),
    (r"$B_{*\perp}$", r"an orthonormal basis of what is perpendicular to $B_*$"),
    (
        r"$\frac12\|Bw - \theta_i\|^2$",
        "the loss of task $i$: squared error with isotropic inputs and infinitely many samples",
    ),
    (r"$\alpha$, $\beta$", "inner step size (one step of gradient descent on a task) and outer step size"),
    (
        r"$\hat B$, $\mathrm{dist}(B, B_*)$",
        r"an orthonormal basis of $B$'s columns; $\|B_{*\perp}^\top \hat B\|$, the sine of the largest angle between "
        r"the column spaces",
    ),
    (
        r"$r_i$, $w_i$, $B_i$, $v_i$",
        "residual before adaptation, adapted head, adapted representation, residual after adaptation",
    ),
    (
        r"$\Psi$, $\Psi_*$, $\bar w_*$",
        r"second moment of the adapted heads, $\frac1n\sum_i w_{*,i} w_{*,i}^\top$, the mean head",
    ),
    (
        r"$\lambda_j$, $\mu_*^2$, $L_*^2$",
        r"the eigenvalues of $\Psi_*$, the least (how diverse the tasks are) and the largest",
    ),
    (r"$\kappa_*$, $\eta_*$", r"$L_*/\mu_*$ and $\|\bar w_*\|$"),
    (r"$E_0$, $c$", r"$0.9 - \mathrm{dist}(B_0, B_*)^2$ and $\frac12$, the envelope's constants, quoted from memory"),
    (r"$N$", r"the right factor of a step: $B_{*\perp}^\top B^+ = B_{*\perp}^\top B N$"),
    (
        r"$M$, $S$, $A$, $\omega$, $Y$, $h$",
        r"near the truth $B = B_*(I + A - \frac12 S)M + B_{*\perp}Y$ with $\alpha MM^\top = I$, $S$ symmetric, $A$ "
        r"skew, and $w = \alpha M^\top h + \frac1\alpha M^\top\omega$",
    ),
    (r"$\mathcal{L}$", r"FO-MAML's step there: $(S, \omega)^+ = (S, \omega) - \alpha\beta\mathcal{L}(S, \omega)$"),
    (r"$x^+$, $x_t$", "a quantity after one outer step, and after $t$"),
    ("balanced, orthonormal start", r"$\alpha B_0^\top B_0 = I$, and $B_0^\top B_0 = I$; $w_0 = 0$"),
)
"""Symbols and words with what they mean."""

LEARNERS = (
    "ANIL adapts the head alone, MAML both; the exact learners differentiate through the inner step, the first-order "
    "(FO-) ones do not. Average loss takes no inner step. All then step against the mean of the tasks' gradients."
)


def notation_section(results: Results) -> b.Section:
    """The setting in a few lines, and a table of symbols to look things up in."""
    return b.Section(
        "notation",
        "The setting and its symbols",
        (
            b.Paragraph(
                "Collins, Mokhtari, Oh and Shakkottai, MAML and ANIL Provably Learn Representations (ICML 2022, "
                f"{PAPER}): linear regression tasks whose solutions share a subspace. {LEARNERS}"
            ),
            b.Details("Symbols", (b.Table(("symbol", "what it means"), SYMBOLS),)),
        ),
        short="Symbols",
    )


CHAPTER = Chapter(notation_section)
