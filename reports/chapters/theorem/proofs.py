"""The theorems and their proofs as blocks: statements with their constants, every line, the rules and the letters."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from metarep.reports.chapters.claims.records import ClaimRecord, mention
from metarep.reports.page import blocks as b
from metarep.reports.page.markup import LEARNER_TITLES, plain_line
from metarep.theory.calculus.words import Poly, find_letter, spell
from metarep.theory.inequalities.catalogue import RULES
from metarep.theory.inequalities.conditions import CONDITIONS
from metarep.theory.inequalities.core import Checked
from metarep.theory.inequalities.guarantee import APPLICABLE
from metarep.theory.inequalities.letters import AVERAGES
from metarep.theory.inequalities.printing import chains, expression, setting, statement
from metarep.theory.inequalities.theorems import THEOREMS

MEANINGS = {
    "theorem-fo-anil": "Whatever the heads, where the outer steps are small, and small against the inner ones, the "
    "distance falls at least geometrically; from a close start at the rate that it has near the truth.",
    "theorem-anil": "Exact ANIL's head moves by the square of the loss of balance only, so that $\\beta/\\alpha$ may "
    "be larger.",
    "theorem-fo-maml": "FO-MAML hears the heads' third moments; a close start and a small mean keep its head small.",
    "theorem-fo-anil-centred": "Tasks that cancel out leave the head at 0; then $\\beta/\\alpha$ does not matter.",
    "theorem-fo-maml-centred": "With the head at 0 FO-MAML takes the same steps as FO-ANIL, so the same is true of it.",
    "theorem-anil-centred": "Also for Exact ANIL one condition on the step size is left where the head stays at 0.",
    "theorem-maml-symmetric": "Exact MAML's head is driven by odd moments of the heads; where all vanish it stays at "
    "0, and the representation takes Exact ANIL's steps.",
}
"""What each theorem means, in a sentence."""

PROOFS = (
    ("theorem-fo-anil",),
    ("theorem-anil",),
    ("theorem-fo-maml",),
    ("theorem-fo-anil-centred", "theorem-fo-maml-centred"),
    ("theorem-anil-centred", "theorem-maml-symmetric"),
)
"""The theorems by their proofs: two steps may be the same once the head is 0, and have one proof then."""

SETTING_WORDS = {
    "assumed at every step": "Assumed at every step",
    "at the start": "At the start",
    "kept": "Kept from step to step",
    "ghost": "Shares that pass on",
    "range": "Ranges",
    "where": "With",
    "definition": "Letters",
}
"""How the parts of a proof's setting are called."""


@dataclass(frozen=True)
class TheoremRecord:
    """A theorem, and what the core said of its proof."""

    id: str
    """Its claim's id."""
    learner: str
    """The learner that it is about."""
    conditions: tuple[str, ...]
    """Its conditions besides balance and a head at 0 at the start, in LaTeX."""
    factor: str
    """By what dist is multiplied in a step at most, in LaTeX."""
    accepted: bool
    """Whether the core accepted every line."""
    lines: int
    """Lines of the proof."""
    rules: tuple[str, ...]
    """The rules that it uses."""


def learner_of(theorem: str) -> str:
    """The learner that a theorem is about."""
    return next(learner for learner, names in APPLICABLE.items() if theorem in names)


def factor_of(theorem: str, checked: Checked) -> str:
    """1 − c αβE_0μ_*² in LaTeX, with the proof's own c (for ``theorem-fo-maml`` without E_0)."""
    constant = expression(dict(checked.derivation.region.symbols)["c"])
    offset = "" if theorem == "theorem-fo-maml" else "E_0"
    return rf"1 - {constant}\,\alpha\beta {offset}\mu_*^2"


def theorem_records() -> tuple[TheoremRecord, ...]:
    """The theorems with explicit constants, their proofs checked again."""
    found = []
    for name, prove in THEOREMS.items():
        checked = prove()
        conditions = tuple(condition.latex for condition in CONDITIONS[name])
        lines = len(checked.derivation.lines)
        found.append(
            TheoremRecord(
                name, learner_of(name), conditions, factor_of(name, checked), checked.accepted, lines,
                checked.rules_used,
            )
        )  # fmt: skip
    return tuple(found)


# --- statements


def statements_section(theorems: Sequence[TheoremRecord], claims: Iterable[ClaimRecord]) -> b.Section:
    """Every theorem: the learner, the conditions, what is guaranteed, what it means."""
    claims = tuple(claims)
    rows = tuple(
        (
            f"{LEARNER_TITLES[t.learner]} {'[[PROVED]]' if t.accepted else '[[REFUTED]]'} {mention(claims, t.id)}",
            "; ".join(f"${condition}$" for condition in t.conditions),
            f"${{{t.factor}}}$",
            MEANINGS[t.id],
        )
        for t in theorems
    )
    return b.Section(
        "theorem-statements",
        "What is proved",
        (
            b.Paragraph(
                r"For all $d$, $k$, $n$ and $T$, with fixed tasks or tasks that change at every step, from a balanced "
                r"start ($\alpha B_0^\top B_0 = I$) with $w_0 = 0$ and a truth of the learner's width. If the "
                r"conditions hold then $\mathrm{dist}_T \le f^T$ for every $T$. $\mu_*$ is the least, $L_*$ and "
                r"$\eta_* = \|\bar w_*\|$ are the largest over all steps ($\mu_*^2 \preceq \Psi_* \preceq L_*^2$), and "
                r"$\kappa_* = L_*/\mu_*$. Where tasks change, a step's own $\mu_{*,t}$ stands in its factor $f_t$, and "
                r"$\mathrm{dist}_T \le \prod_{t < T} f_t$."
            ),
            b.Table(("theorem", "if", r"factor a step, $f$", "what it means"), rows),
        ),
    )


# --- how it is proved


def idea_section() -> b.Section:
    """The induction in plain words, and the units."""
    return b.Section(
        "theorem-idea",
        "How it is proved",
        (
            b.Paragraph(
                r"**Three things have to stay small**: what $B$ has outside of the truth, $Y = B_{*\perp}^\top B$; the "
                r"loss of balance, $\Delta = I - B^\top B$; the head $w$. While $\Delta$ and $w$ are small the adapted "
                r"heads are diverse, $\Psi \succeq cE_0\mu_*^2$, and then $Y$ shrinks by $1 - \tau$ a step. But $Y$ "
                r"makes $\Delta$ grow, and $\Delta$ makes $w$ grow. So one has to show that neither ever grows beyond "
                "what the first statement can bear, over as many steps as one likes."
            ),
            b.Paragraph(
                r"**Mass that is passed on.** Three numbers keep account: $\|Y\|^2 \le \mathrm{dist}_0^2\,\zeta$, "
                r"$\|\Delta\| \le X\xi$, $\|w\| \le H\upsilon$, with fixed $X$ and $H$. At the start $\zeta = 1$ and "
                r"$\xi = \upsilon = 0$. In a step $\zeta$ loses $(2\tau - \tau^2)\zeta$, and $\xi$ gets it; $\xi$ "
                r"loses a multiple of $\tau_{\min}\xi$, and $\upsilon$ gets it. Mass goes "
                r"$\zeta \to \xi \to \upsilon$, none is made, so that $\zeta + \xi + \upsilon = 1$ for ever and each "
                r"stays in $[0, 1]$: $X$ and $H$ bound the loss of balance and the head at every step, however many "
                "there are. Each is paid for by the "
                r"decrease of the one before. (Where the head stays at 0 there is no $\upsilon$; in FO-MAML's proof "
                r"$\upsilon$ also gives back to $\xi$, as its head acts on the balance, and a small mean makes the two "
                "flows fit.)"
            ),
            b.Paragraph(
                "**What is left for one step** is to bound $Y^+$, $\\Delta^+$ and $w^+$ by norm inequalities from the "
                r"bounds of $Y$, $\Delta$ and $w$, and to compare with the same bounds at $\zeta^+, \xi^+, "
                r"\upsilon^+$: inequalities between polynomials in a few real numbers of a box, decided in fractions."
            ),
            b.Paragraph(
                "**What is checked.** A proof is a list of lines. Each names a rule and the lines that it uses; a "
                "small core computes what follows and refuses the line if it says anything else. Identities are "
                r"expanded in words, for all dimensions at once; $\nabla_B$ and $\nabla_w$ are those derived from the "
                r"learner's definition; a norm's bound is computed from its words; $p \le q$ is decided for the whole "
                "region. "
                "The rules are [listed below](#theorem-rules)."
            ),
            b.Paragraph(
                r"**Units.** The proofs have $\alpha = 1$ by the scaling symmetry: $B, w, w_{*,i}, \beta$ stand for "
                r"$\sqrt\alpha B, \sqrt\alpha w, \alpha w_{*,i}, \beta/\alpha$, and the core checks that the learner's "
                r"step allows it. Units come back by reading it so: $L, \mu, \eta$ are $\alpha L_*, \alpha\mu_*, "
                r"\alpha\eta_*$, so that $\beta L^2$ is $\alpha\beta L_*^2$ and $\beta$ is $\beta/\alpha$; dist has no "
                r"units. In the lines $\mu$ is that of the step, and $\tau$ is $cE_0\beta\mu^2$."
            ),
        ),
    )


def maml_section(reach: str) -> b.Section:
    """What was tried for Exact MAML; ``reach``: what is measured."""
    return b.Section(
        "theorem-maml",
        "What is not proved: MAML with any heads",
        (
            b.Paragraph(
                "**Exact MAML has no theorem here for general heads**, only for heads whose odd moments vanish. Its "
                "head is driven by the heads' third moments, also in balance and with a mean of 0, and what drives it "
                r"is of the size of $\|Y\|^2$ rather than of $\Delta$. On the way it is amplified, at worst by about "
                r"$\exp(k\kappa_*^2/(2E_0))$, so that only $\alpha L_*$ below a number that depends on $k$ and "
                r"$\kappa_*$ can be hoped for. Tried: a recursion of norms like that above. It does not close for "
                "every $T$, only up to some, since norms alone let balance and head drive each other without end; "
                r"the term $-\beta\,\mathrm{mean}\,\|r_i\|^2 w_i w_i^\top w$, which holds the head back, is lost in "
                "them. The learner descends a loss, so that a Lyapunov function of both may do better; we have none."
            ),
            b.Paragraph(
                "**FO-MAML** with any heads has none either: its truth can be unstable "
                "([boundaries](#boundaries-fo-maml)), so that a statement for every $T$ needs a condition on the mean, "
                "as the theorem has it, or heads with mean 0."
            ),
            b.Paragraph(reach),
        ),
    )


# --- the proofs


def proofs_section() -> b.Section:
    """Each proof behind a line that opens it."""
    return b.Section(
        "theorem-proofs",
        "The proofs, line by line",
        (
            b.Paragraph(
                "A bound, what it is reworded to by an identity and what it is weakened to stand in one line. Numbers "
                r"are those of the lines used; $P \succeq pI$ and $P \preceq pI$ bound the eigenvalues, and $G^{-1}$ "
                r"is the inverse of $G = B^\top B$. The real variables say how much of the conditions is used up: "
                r"$a = \alpha\beta L_*^2\kappa_*^2/E_0$, $g = \beta\kappa_*^4/(\alpha E_0^2)$, "
                r"$f = g\eta_*^2/(E_0\mu_*^2)$; for FO-MAML $E_0 = 1$, $S$ is $\eta_*\max_i\|w_{*,i}\|$ over "
                r"$\mu_*^4/L_*^2$ and $s$ is $\mathrm{dist}_0^2\,\mathrm{tr}\,\Psi_*$ over $\mu_*^2$. With changing "
                r"tasks $\rho$ and $\sigma$ are the step's $\mu_t^2/L^2$ and $\mu_*^2/\mu_t^2$. The other numbers were "
                "found by search, and the core checks that they fit."
            ),
            *(_proof(names) for names in PROOFS),
        ),
    )


def _proof(names: Sequence[str]) -> b.Details:
    checked = THEOREMS[names[0]]()
    title = f"{checked.derivation.title} ({', '.join(f'`{name}`' for name in names)})"
    if not checked.accepted:
        title += f": refused, {plain_line(checked.refusal)}"
    lines = chains(checked)
    rows = tuple(
        (str(line.number), _line(line.latex), f"{line.rule}{': ' if line.uses else ''}{', '.join(map(str, line.uses))}")
        for line in lines
    )
    return b.Details(
        f"{title}, {len(lines)} lines",
        (
            b.Facts(_setting(checked)),
            b.Table(("line", "what it says", "by"), rows, frozenset({0})),
            b.Paragraph(f"By the induction there holds at every step, besides: {_kept(checked)}."),
        ),
    )


_REWORDED = re.compile(r"\\left\\\|(.*?)\\right\\\| = \\left\\\|(.*)\\right\\\| \\le (.*)")
_LONG = 60


def _line(latex: str) -> str:
    """A line; ‖X‖ = ‖Y‖ ≤ p with a long Y, in which no line can be broken, as X = Y, so ‖X‖ ≤ p."""
    match = _REWORDED.fullmatch(latex)
    if match is None or len(match[2]) < _LONG:
        return f"${latex}$"
    return rf"${match[1]} = {match[2]}$, so $\left\|{match[1]}\right\| \le {match[3]}$"


def _setting(checked: Checked) -> tuple[tuple[str, str], ...]:
    """What the statement assumes and keeps, its variables and letters."""
    grouped: dict[str, list[str]] = {}
    for what, latex in setting(checked):
        grouped.setdefault(what, []).append(f"${latex}$")
    averages = ", ".join(
        f"${find_letter(name).latex} = {_average(name)}$" for name in AVERAGES if name in _used(checked)
    )
    rows = ((SETTING_WORDS.get(what, what), ", ".join(group)) for what, group in grouped.items())
    return (*rows, ("Averages over the tasks", averages))


def _used(checked: Checked) -> set[str]:
    """The letters that the lines are about."""
    sides = (side for found in checked.judgements for side in (found.of, found.bound))
    return {name for side in sides if isinstance(side, Poly) for name in side.letters()}


def _average(name: str) -> str:
    """LaTeX of what an average is the average of."""
    ((_, scalars, word),) = AVERAGES[name].terms
    factors = [*(rf"({_word(scalar)})" if word else _word(scalar) for scalar in scalars), _word(word)]
    return r"\mathrm{mean}\," + r"\,".join(filter(None, factors))


def _word(word: bytes) -> str:
    letters = (spell(code) for code in word)
    return " ".join(rf"{{{letter.latex}}}^\top" if transposed else letter.latex for letter, transposed in letters)


def _kept(checked: Checked) -> str:
    """The named results but the theorem itself."""
    lines = checked.derivation.lines
    return ", ".join(
        f"${statement(lines[number - 1].says, checked.result(name))}$"
        for name, number in checked.derivation.results
        if name != "theorem"
    )


def rules_section() -> b.Section:
    """The rules that the proofs use, each with its reason."""
    used = {rule for prove in THEOREMS.values() for rule in prove().rules_used}
    rows = tuple(
        (name, _in_mathematics(rule.statement), plain_line(" ".join(rule.reason.split())))
        for name, rule in RULES.items()
        if name in used
    )
    return b.Section(
        "theorem-rules",
        "The rules",
        (
            b.Paragraph(
                rf"$\|\cdot\|$ is the operator norm, $\preceq$ the order of symmetric matrices, $P \succeq p$ is short "
                rf"for $P \succeq pI$. {len(rows)} of the {len(RULES)} rules are used here."
            ),
            b.Details(f"The {len(rows)} rules and why they are true", (b.Table(("rule", "states", "since"), rows),)),
        ),
    )


def _in_mathematics(text: str) -> str:
    """A rule's statement; what has no symbols is words."""
    plain = text.replace(r"\Big", "")
    return f"${plain}$" if any(sign in text for sign in "\\=<>_^") else text
